/* Start-up of the ARMv5 firmware (A32 code): set the stack, run the harness. */
    .section .vectors, "ax", %progbits
    .arm
    .global Reset_Handler
    .type Reset_Handler, %function
Reset_Handler:
    ldr sp, =lilliput_stack_top
    bl lilliput_main
halt:
    b halt
    .ltorg
    .size Reset_Handler, . - Reset_Handler
