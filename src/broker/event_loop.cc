#include "broker/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <unistd.h>

namespace fleetward::broker {
namespace {

uint32_t mask(bool readable, bool writable) {
  return (readable ? EPOLLIN | EPOLLRDHUP : 0U) | (writable ? EPOLLOUT : 0U);
}

}  // namespace

EventLoop::~EventLoop() {
  if (eventfd_ >= 0) ::close(eventfd_);
  if (epoll_ >= 0) ::close(epoll_);
}

Status EventLoop::open() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  eventfd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (epoll_ < 0 || eventfd_ < 0) {
    return fail(ErrorCode::kUnavailable, std::string("event loop: ") + std::strerror(errno));
  }
  return add(eventfd_, nullptr, true, false);
}

Status EventLoop::add(int descriptor, EventSource* source, bool readable, bool writable) {
  epoll_event event{};
  event.events = mask(readable, writable);
  event.data.ptr = source;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    return fail(ErrorCode::kUnavailable, std::string("epoll: ") + std::strerror(errno));
  }
  return {};
}

void EventLoop::change(int descriptor, EventSource* source, bool readable, bool writable) {
  epoll_event event{};
  event.events = mask(readable, writable);
  event.data.ptr = source;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void EventLoop::remove(int descriptor, EventSource* source) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  if (!ready_.empty()) removed_.push_back(source);
}

void EventLoop::wait(Duration timeout) {
  std::array<epoll_event, kEventsPerRound> events;
  const int wait_ms = woken_.load(std::memory_order_acquire) ? 0 : static_cast<int>(timeout.count());
  const int count = ::epoll_wait(epoll_, events.data(), kEventsPerRound, wait_ms);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    auto* source = static_cast<EventSource*>(event.data.ptr);
    if (source == nullptr) {
      uint64_t value = 0;
      [[maybe_unused]] const ssize_t n = ::read(eventfd_, &value, sizeof value);
      continue;
    }
    const bool failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
    ready_.push_back(
        {source, failed || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0, (event.events & EPOLLOUT) != 0});
  }
  // Cleared before the caller drains its mailbox, so that mail posted from now on wakes the next round.
  woken_.store(false, std::memory_order_release);
}

void EventLoop::dispatch() {
  for (const Ready& ready : ready_) {
    if (!removed_.empty() && std::find(removed_.begin(), removed_.end(), ready.source) != removed_.end())
      continue;
    ready.source->on_event(ready.readable, ready.writable);
  }
  ready_.clear();
  removed_.clear();
}

void EventLoop::wake() {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(eventfd_, &one, sizeof one);
}

}  // namespace fleetward::broker
