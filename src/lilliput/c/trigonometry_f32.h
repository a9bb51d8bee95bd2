/* Sine, cosine, tangent and their inverses in plain float and integer arithmetic: no libm, the same bits on every
   machine. Worst errors in units in the last place, for every finite argument: sin and cos 3, tan 4, asin 3, acos 3,
   atan 3. NaN and infinity give NaN; so do asin and acos beyond 1. */
#ifndef LILLIPUT_TRIGONOMETRY_F32_H
#define LILLIPUT_TRIGONOMETRY_F32_H
#include "logarithm_f32.h"

/* 2/pi in 32-bit words that start every 8 bits. */
LILLIPUT_UNUSED static const uint32_t two_over_pi[25] = {
  0x00000000u, 0x000000a2u, 0x0000a2f9u, 0x00a2f983u, 0xa2f9836eu, 0xf9836e4eu, 0x836e4e44u, 0x6e4e4415u, 0x4e441529u,
  0x441529fcu, 0x1529fc27u, 0x29fc2757u, 0xfc2757d1u, 0x2757d1f5u, 0x57d1f534u, 0xd1f534ddu, 0xf534ddc0u, 0x34ddc0dbu,
  0xddc0db62u, 0xc0db6295u, 0xdb629599u, 0x6295993cu, 0x95993c43u, 0x993c4390u, 0x3c439041u,
};

/* x = quadrant pi/2 + r, |r| <= pi/4, for finite x. The mantissa times those bits of 2/pi that matter: the top two bits of
   the 64 that are kept are the quadrant, the others a fraction of it. */
LILLIPUT_INLINE float reduced_angle(float x, int32_t *quadrant) {
  *quadrant = 0;
  if (abs_of(x) < 0x1.921fb6p-1f) return x;
  const uint32_t bits = bits_of(x) & 0x7fffffffu;
  const uint32_t *digits = two_over_pi + ((bits >> 26) - 15u);
  const uint32_t m = ((bits & 0x7fffffu) | 0x800000u) << ((bits >> 23) & 7u);
  uint64_t product = ((uint64_t)m * digits[8] >> 32) | ((uint64_t)(m * digits[0]) << 32);
  product += (uint64_t)m * digits[4];
  const uint64_t turns = (product + ((uint64_t)1 << 61)) >> 62;
  product -= turns << 62;
  const float r = (float)(int64_t)product * 0x1.921fb6p-62f;
  *quadrant = (int32_t)(x < 0.0f ? (uint32_t)0 - (uint32_t)turns : (uint32_t)turns) & 3;
  return x < 0.0f ? -r : r;
}

LILLIPUT_INLINE float sin_near_zero(float r) {
  const float z = r * r;
  float p = -0x1.993d72p-13f;
  p = p * z + 0x1.11072ep-7f;
  p = p * z - 0x1.555546p-3f;
  return r + r * z * p;
}

LILLIPUT_INLINE float cos_near_zero(float r) {
  const float z = r * r;
  float p = 0x1.99f2dep-16f;
  p = p * z - 0x1.6c0c58p-10f;
  p = p * z + 0x1.55554ap-5f;
  const float half = 0.5f * z, high = 1.0f - half;
  return high + (((1.0f - high) - half) + z * z * p);
}

/* sin(x + turned pi/2) */
LILLIPUT_INLINE float sine_turned(float x, int32_t turned) {
  if (!(abs_of(x) < infinity())) return not_a_number();
  int32_t quadrant;
  const float r = reduced_angle(x, &quadrant);
  quadrant += turned;
  const float y = quadrant & 1 ? cos_near_zero(r) : sin_near_zero(r);
  return quadrant & 2 ? -y : y;
}

LILLIPUT_INLINE float sin_of(float x) { return sine_turned(x, 0); }
LILLIPUT_INLINE float cos_of(float x) { return sine_turned(x, 1); }

LILLIPUT_INLINE float tan_of(float x) {
  if (!(abs_of(x) < infinity())) return not_a_number();
  int32_t quadrant;
  const float r = reduced_angle(x, &quadrant);
  const float s = sin_near_zero(r), c = cos_near_zero(r);
  return quadrant & 1 ? -c / s : s / c;
}

/* Brought to |x| <= tan(pi/8) by the arc of the inverse, or that less pi/4. */
LILLIPUT_INLINE float atan_of(float x) {
  if (x != x) return x;
  const float a = abs_of(x);
  float from = 0.0f, rest = 0.0f, v = a;
  if (a > 0x1.3504f4p+1f) {
    from = 0x1.921fb6p+0f;
    rest = -0x1.777a5cp-25f;
    v = -1.0f / a;
  } else if (a > 0x1.a8279ap-2f) {
    from = 0x1.921fb6p-1f;
    rest = -0x1.777a5cp-26f;
    v = (a - 1.0f) / (a + 1.0f);
  }
  const float z = v * v;
  float p = 0x1.4928p-4f;
  p = p * z - 0x1.1c1db2p-3f;
  p = p * z + 0x1.9922bep-3f;
  p = p * z - 0x1.55544ep-2f;
  return signed_as(from + (v + (v * z * p + rest)), x);
}

/* |x| <= 1/2 */
LILLIPUT_INLINE float asin_near_zero(float x) {
  const float z = x * x;
  float p = 0x1.59dac2p-5f;
  p = p * z + 0x1.8ba26p-6f;
  p = p * z + 0x1.748c64p-5f;
  p = p * z + 0x1.33014ep-4f;
  p = p * z + 0x1.5555cap-3f;
  return x + x * z * p;
}

/* Beyond 1/2: the arc of the half angle's sine. */
LILLIPUT_INLINE float asin_of(float x) {
  const float a = abs_of(x);
  if (a <= 0.5f) return asin_near_zero(x);
  if (!(a <= 1.0f)) return not_a_number();
  const float half = asin_near_zero(sqrt_of(0.5f * (1.0f - a)));
  return signed_as(0x1.921fb6p+0f - (2.0f * half + 0x1.777a5cp-25f), x);
}

LILLIPUT_INLINE float acos_of(float x) {
  const float a = abs_of(x);
  if (!(a <= 1.0f)) return not_a_number();
  if (a <= 0.5f) return 0x1.921fb6p+0f - (asin_near_zero(x) + 0x1.777a5cp-25f);
  const float twice = 2.0f * asin_near_zero(sqrt_of(0.5f * (1.0f - a)));
  return x > 0.0f ? twice : 0x1.921fb6p+1f - (twice + 0x1.777a5cp-24f);
}

#endif
