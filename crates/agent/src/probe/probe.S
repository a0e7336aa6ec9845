# The smallest guest that shows whether hardware virtualisation works: it goes from real mode through
# protected mode and paging into long mode, touches memory, asks the processor who it is, and says 42
# on QEMU's exit port. mod.rs holds the assembled bytes; to assemble again:
#
#   as -o probe.o probe.S && ld -Ttext=0 --oformat binary -o probe.rom probe.o
#
# 64 KiB, mapped at 0xFFFF0000; the processor begins at its last 16 bytes.
.code16
.org 0
start:
  cli
  mov $0xF000, %ax
  mov %ax, %ds
  lgdtl %cs:gdtr
  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $0x08, $(0xFFFF0000 + pm)
.code32
pm:
  mov $0x10, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $0x8000, %esp
  # page tables at 0x1000: PML4 -> 0x2000 PDPT -> 0x3000 PD: 2 MiB pages, first GiB; and 4th GiB PD at 0x4000
  xor %eax, %eax
  mov $0x1000, %edi
  mov $0x1400, %ecx
  rep stosl
  movl $0x2003, 0x1000
  movl $0x3003, 0x2000
  movl $0x4003, 0x2018
  mov $0x3000, %edi
  mov $0x83, %eax
  mov $512, %ecx
1: mov %eax, (%edi)
  add $8, %edi
  add $0x200000, %eax
  loop 1b
  mov $0x4000, %edi
  mov $0xC0000083, %eax
  mov $512, %ecx
2: mov %eax, (%edi)
  add $8, %edi
  add $0x200000, %eax
  loop 2b
  mov $0x1000, %eax
  mov %eax, %cr3
  mov %cr4, %eax
  or $0x20, %eax
  mov %eax, %cr4
  mov $0xC0000080, %ecx
  rdmsr
  or $0x100, %eax
  wrmsr
  mov %cr0, %eax
  or $0x80000000, %eax
  mov %eax, %cr0
  ljmpl $0x18, $(0xFFFF0000 + lm)
.code64
lm:
  # touch every page of 4 MiB, ask the processor who it is, count
  mov $0x400000, %rdi
  mov $0x80000, %rcx
  mov $0x5959, %rax
  rep stosq
  xor %eax, %eax
  cpuid
  mov $1000000, %rcx
3: dec %rcx
  jnz 3b
  mov 0x400008, %rax
  cmp $0x5959, %rax
  jne 4f
  mov $42, %al
  out %al, $0xf4
4: hlt
  jmp 4b
.balign 8
gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
gdtr: .word 31
  .long 0xFFFF0000 + gdt
.org 0xFFF0
.code16
  ljmp $0xF000, $0
.org 0xFFFF
.byte 0
