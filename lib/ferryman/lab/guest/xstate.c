/* Makes ptrace(PTRACE_SETREGSET, NT_X86_XSTATE) work for a program that knows a part of the register state.
 *
 * Linux takes the extended state of a processor (Intel SDM volume 1, chapter 13) only whole: since 5.15
 * xstateregs_set() answers EFAULT to fewer bytes than the processor has. User-Mode Linux 6.1 has room for 2,696
 * bytes, everything up to AVX-512 and protection keys; with AMX there are 11,008, its first process could not
 * be given its registers, and the guest ended before it began. What is behind the part that it knows is sent
 * as zeros: the header in the part says which components are in use, and those behind it are not.
 *
 * Built by xstate.py, preloaded by outer.sh.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { XSTATE_LEAF = 0xd };

static char whole[1 << 16];
static unsigned int size;
static long (*next)(enum __ptrace_request, ...);

__attribute__((constructor)) static void prepare(void)
{
    unsigned int eax, ecx, edx;

    __cpuid_count(XSTATE_LEAF, 0, eax, size, ecx, edx); /* ebx: bytes for all that the system has switched on */
    next = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE) {
        struct iovec *part = data;
        struct iovec all = {whole, size};

        if (part->iov_len < size && size <= sizeof whole) {
            memcpy(whole, part->iov_base, part->iov_len);
            return next(request, pid, address, &all);
        }
    }
    return next(request, pid, address, data);
}
