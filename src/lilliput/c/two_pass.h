/* Reductions in two passes: a centre (the mean, or the greatest value), then a sum over the distances from it. */
#ifndef LILLIPUT_TWO_PASS_H
#define LILLIPUT_TWO_PASS_H
#include "logarithm_f32.h"

/* log(sum(e^x)) = greatest + log(sum(e^(x - greatest))); an infinite greatest value is no centre. */
#define log_sum_exp_start(second, x) ((second) ? 0.0f : (x))
#define log_sum_exp_first(a, x) ((x) > (a) || (x) != (x) ? (x) : (a))
#define log_sum_exp_centre(a, count) ((a) - (a) == 0.0f ? (a) : 0.0f)
#define log_sum_exp_second(a, d) ((a) + exp_f32(d))
#define log_sum_exp_finish(a, centre, divisor, epsilon) ((centre) + log_of(a))

#define variance_start(second, x) 0.0f
#define variance_first(a, x) ((a) + (x))
#define variance_centre(a, count) ((a) / (count))
#define variance_second(a, d) ((a) + (d) * (d))
#define variance_finish(a, centre, divisor, epsilon) ((a) / (divisor))

#define deviation_start(second, x) 0.0f
#define deviation_first(a, x) ((a) + (x))
#define deviation_centre(a, count) ((a) / (count))
#define deviation_second(a, d) ((a) + (d) * (d))
#define deviation_finish(a, centre, divisor, epsilon) sqrt_of((a) / (divisor))

#define inverse_deviation_start(second, x) 0.0f
#define inverse_deviation_first(a, x) ((a) + (x))
#define inverse_deviation_centre(a, count) ((a) / (count))
#define inverse_deviation_second(a, d) ((a) + (d) * (d))
#define inverse_deviation_finish(a, centre, divisor, epsilon) (1.0f / sqrt_of((a) / (divisor) + (epsilon)))

#endif
