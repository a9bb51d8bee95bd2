/* A QEMU plugin that counts executed instructions by address in a file mapped by QEMU and by the tool alike.
 *
 * The plugin interface (version 1, QEMU 4.2 to 8.x) is declared here by hand: Debian ships no header for it.
 * The file: one word, the end of the block that ran last (0 = none); then for each halfword of the code the number of
 * executions of the instruction that starts there; then for each halfword the jumps taken by what ends there.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu, void *user);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr, uint64_t imm);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_vcpu_udata_cb_t cb, int flags,
                                                 void *user);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

#define EXPORT __attribute__((visibility("default")))
#define ADD_U64 0 /* QEMU_PLUGIN_INLINE_ADD_U64 */
#define NO_REGISTERS 0 /* QEMU_PLUGIN_CB_NO_REGS */

EXPORT extern const int qemu_plugin_version;
EXPORT const int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

typedef struct {
    uint64_t start;
    uint64_t end;
} block_t;

static uint64_t base;
static uint64_t halfwords;
static uint64_t *shared; /* the mapped file */

static void on_block(unsigned int vcpu, void *user)
{
    const block_t *block = user;
    (void)vcpu;
    if (shared[0] != 0 && shared[0] != block->start) {
        shared[halfwords + ((shared[0] - base) >> 1)]++;
    }
    shared[0] = block->end;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    block_t *block = malloc(sizeof *block); /* lives as long as the translation, which is as long as QEMU */
    (void)id;
    if (block == NULL || n == 0) {
        return;
    }
    block->start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->end = block->start;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t index = (qemu_plugin_insn_vaddr(insn) - base) >> 1;
        if (index >= halfwords) {
            return;
        }
        block->end = qemu_plugin_insn_vaddr(insn) + qemu_plugin_insn_size(insn);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &shared[1 + index], 1);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, block);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    const char *file = NULL;
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "counts=", 7) == 0) {
            file = argv[i] + 7;
        } else if (strncmp(argv[i], "base=", 5) == 0) {
            base = strtoull(argv[i] + 5, NULL, 0);
        } else if (strncmp(argv[i], "halfwords=", 10) == 0) {
            halfwords = strtoull(argv[i] + 10, NULL, 0);
        }
    }
    int handle = file != NULL ? open(file, O_RDWR) : -1;
    if (handle < 0) {
        return 1;
    }
    void *mapped = mmap(NULL, (1 + 2 * halfwords) * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    (void)close(handle);
    if (mapped == MAP_FAILED) {
        return 1;
    }
    shared = mapped;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
