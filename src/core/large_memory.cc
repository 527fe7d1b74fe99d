#include "core/large_memory.h"

#include <new>
#include <sys/mman.h>

namespace fleetward {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

std::align_val_t alignment_of(size_t bytes) {
  return std::align_val_t{bytes >= kHugePage ? kHugePage : 64};
}

}  // namespace

void* allocate_large(size_t bytes) {
  void* memory = ::operator new(bytes, alignment_of(bytes));
  // A kernel without huge pages refuses; then small ones it is.
  if (bytes >= kHugePage) static_cast<void>(madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE));
  return memory;
}

void free_large(void* memory, size_t bytes) noexcept {
  ::operator delete(memory, alignment_of(bytes));
}

}  // namespace fleetward
