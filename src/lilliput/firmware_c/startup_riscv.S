/* Start-up of the RISC-V firmware: set the stack, run the harness; and the call of the host (semihosting). */
    .section .vectors, "ax", @progbits
    .option norelax
    .global Reset_Handler
    .type Reset_Handler, @function
Reset_Handler:
    la sp, lilliput_stack_top
    call lilliput_main
halt:
    j halt
    .size Reset_Handler, . - Reset_Handler

/* void lilliput_semihosting(uint32_t operation, const uint32_t *block): EBREAK between two marking no-ops. */
    .section .text.lilliput_semihosting, "ax", @progbits
    .option norvc
    .balign 16
    .global lilliput_semihosting
    .type lilliput_semihosting, @function
lilliput_semihosting:
    slli x0, x0, 0x1f
    ebreak
    srai x0, x0, 7
    ret
    .size lilliput_semihosting, . - lilliput_semihosting
