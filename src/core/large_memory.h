#pragma once

#include <cstddef>

namespace fleetward {

// Memory for tables that are large and read at random. From 2 MiB on it is aligned to huge pages and asks the
// kernel for them (Linux: madvise, where transparent huge pages are "madvise" or "always"): with small pages
// nearly each read of such a table walks the page table. Uninitialised; never null (std::bad_alloc as from
// operator new). Free it by free_large with the same size. Thread safe.
void* allocate_large(size_t bytes);
void free_large(void* memory, size_t bytes) noexcept;

// The same for containers.
template <typename T>
struct LargeAllocator {
  using value_type = T;
  LargeAllocator() = default;
  template <typename U>
  LargeAllocator(const LargeAllocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor): an allocator
  T* allocate(size_t count) { return static_cast<T*>(allocate_large(count * sizeof(T))); }
  void deallocate(T* memory, size_t count) noexcept { free_large(memory, count * sizeof(T)); }
  bool operator==(const LargeAllocator&) const = default;
};

}  // namespace fleetward
