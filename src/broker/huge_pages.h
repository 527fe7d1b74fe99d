#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

namespace fleetward::broker {

// An allocator that asks the kernel for huge pages where a piece is large enough to fill some. A big table
// that is read at random costs a page walk at each step otherwise, which under a hypervisor is dearer than
// the miss itself. A kernel that has none to give changes nothing.
template <typename T>
struct HugePages {
  using value_type = T;
  static constexpr size_t kPageBytes = size_t{2} * 1024 * 1024;

  HugePages() = default;
  template <typename Other>
  HugePages(const HugePages<Other>&) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kPageBytes) return static_cast<T*>(::operator new(bytes));
    void* piece = std::aligned_alloc(kPageBytes, (bytes + kPageBytes - 1) / kPageBytes * kPageBytes);
    if (piece == nullptr) throw std::bad_alloc();
    madvise(piece, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(piece);
  }
  void deallocate(T* piece, size_t count) {
    if (count * sizeof(T) < kPageBytes)
      ::operator delete(piece);
    else
      std::free(piece);
  }
  friend bool operator==(const HugePages&, const HugePages&) { return true; }
};

}  // namespace fleetward::broker
