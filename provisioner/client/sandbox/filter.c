#include "client/sandbox/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#else
#error "no system call filter for this architecture"
#endif
#define X32_BIT 0x40000000u

#define LOAD(field)         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, t, f)     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (t), (f))
#define IF_BITS(bits, t, f) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), (t), (f))
#define ANSWER(what)        BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE(number)      ANSWER(SECCOMP_RET_ERRNO | (number))
#define ARGUMENT(n)         args[n] /* its low half: all these machines are little-endian */

int filter_install(void)
{
        struct sock_filter program[] = {
                /* other calling conventions (32 bit) would get around the numbers below: they do not exist in here */
                LOAD(arch),
                IF(ARCHITECTURE, 1, 0),
                REFUSE(ENOSYS),
                LOAD(nr),
#if defined(__x86_64__)
                IF_BITS(X32_BIT, 0, 1),
                REFUSE(ENOSYS),
#endif
                /* its flags stand in memory where a filter cannot look: the C library then takes clone instead */
                IF(SYS_clone3, 0, 1),
                REFUSE(ENOSYS),
                IF(SYS_clone, 1, 0),
                IF(SYS_unshare, 0, 4),
                LOAD(ARGUMENT(0)),
                IF_BITS(CLONE_NEWUSER, 0, 1),
                REFUSE(EPERM),
                ANSWER(SECCOMP_RET_ALLOW),
                /* input pushed into a terminal that root may be looking at; keys of the kernel, which no namespace
                   divides */
                IF(SYS_ioctl, 0, 3),
                LOAD(ARGUMENT(1)),
                IF(TIOCSTI, 0, 5),
                REFUSE(EPERM),
                IF(SYS_keyctl, 2, 0),
                IF(SYS_add_key, 1, 0),
                IF(SYS_request_key, 0, 1),
                REFUSE(EPERM),
                ANSWER(SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}
