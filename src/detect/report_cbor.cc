#include <cbor/callbacks.h>
#include <cbor/streaming.h>

#include "core/encoding.h"
#include "detect/report_sources.h"
#include "detect/report_walk.h"

namespace fleetward::detect::internal {
namespace {

using Kind = CborItem::Kind;

// The head of one item as libcbor's stateless decoder tells it: it allocates nothing and believes no length.
struct Head {
  CborItem item;
  enum class Shape { kScalar, kSized, kIndefinite, kBreak, kTag, kChunked } shape = Shape::kScalar;
  uint64_t size = 0;  // elements of a container
};

Head& head_of(void* context) {
  return *static_cast<Head*>(context);
}
template <typename T>
void on_unsigned(void* context, T value) {
  head_of(context).item.kind = Kind::kUnsigned;
  head_of(context).item.integer = value;
}
template <typename T>
void on_negative(void* context, T value) {
  head_of(context).item.kind = Kind::kNegative;
  head_of(context).item.integer = value;
}
template <typename T>
void on_real(void* context, T value) {
  head_of(context).item.kind = Kind::kFloat;
  head_of(context).item.real = static_cast<double>(value);
}
void on_text(void* context, cbor_data data, size_t size) {
  head_of(context).item.kind = Kind::kText;
  head_of(context).item.text = std::string_view(reinterpret_cast<const char*>(data), size);
}
template <Kind kKind>
void on_sized(void* context, size_t size) {
  head_of(context).item.kind = kKind;
  head_of(context).shape = Head::Shape::kSized;
  head_of(context).size = size;
}
template <Kind kKind, Head::Shape kShape>
void on_shape(void* context) {
  head_of(context).item.kind = kKind;
  head_of(context).shape = kShape;
}

cbor_callbacks make_callbacks() {
  using Shape = Head::Shape;
  cbor_callbacks calls = cbor_empty_callbacks;
  calls.uint8 = on_unsigned<uint8_t>;
  calls.uint16 = on_unsigned<uint16_t>;
  calls.uint32 = on_unsigned<uint32_t>;
  calls.uint64 = on_unsigned<uint64_t>;
  calls.negint8 = on_negative<uint8_t>;
  calls.negint16 = on_negative<uint16_t>;
  calls.negint32 = on_negative<uint32_t>;
  calls.negint64 = on_negative<uint64_t>;
  calls.float2 = on_real<float>;
  calls.float4 = on_real<float>;
  calls.float8 = on_real<double>;
  calls.string = on_text;
  calls.string_start = on_shape<Kind::kOther, Shape::kChunked>;
  calls.byte_string_start = on_shape<Kind::kOther, Shape::kChunked>;
  calls.array_start = on_sized<Kind::kArray>;
  calls.map_start = on_sized<Kind::kMap>;
  calls.indef_array_start = on_shape<Kind::kArray, Shape::kIndefinite>;
  calls.indef_map_start = on_shape<Kind::kMap, Shape::kIndefinite>;
  calls.indef_break = on_shape<Kind::kOther, Shape::kBreak>;
  calls.tag = [](void* context, uint64_t) { head_of(context).shape = Head::Shape::kTag; };
  return calls;
}

// A container that is being read: how many items it still wants.
struct Open {
  uint32_t index = 0;
  bool map = false, indefinite = false;
  uint64_t left = 0;  // items (a map's pair is two); for an indefinite one it counts up instead
};

// Turns the document into a flat list of items. Bounded: the depth by the limit, the items by the bytes.
class CborReader {
 public:
  CborReader(const ReportLimits& limits, std::vector<CborItem>& items) : limits_(limits), items_(items) {}

  // nullptr, or why the document is refused.
  const char* read(std::string_view payload) {
    static const cbor_callbacks kCallbacks = make_callbacks();
    items_.clear();
    stack_.clear();
    bool tagged = false;
    while (!payload.empty()) {
      if (stack_.empty() && !items_.empty()) return "bytes follow the document";
      Head head;
      const auto result = cbor_stream_decode(reinterpret_cast<const unsigned char*>(payload.data()),
                                             payload.size(), &kCallbacks, &head);
      if (result.status == CBOR_DECODER_NEDATA) return "the CBOR is cut short";
      if (result.status != CBOR_DECODER_FINISHED || result.read == 0) return "the CBOR does not parse";
      payload.remove_prefix(result.read);
      if (head.shape == Head::Shape::kTag) {  // what it says of the item does not matter here
        tagged = true;
        continue;
      }
      if (const char* why = add(head, tagged)) return why;
      tagged = false;
    }
    return !stack_.empty() || items_.empty() || tagged ? "the CBOR is cut short" : nullptr;
  }

 private:
  const char* add(const Head& head, bool tagged) {
    if (head.shape == Head::Shape::kChunked) return "strings of indefinite length are not accepted";
    if (head.shape == Head::Shape::kBreak) {
      if (tagged || stack_.empty() || !stack_.back().indefinite) return "the CBOR does not parse";
      if (stack_.back().map && stack_.back().left % 2 != 0) return "the CBOR does not parse";
      close();
      return finish_full();
    }
    if (!stack_.empty()) {
      Open& open = stack_.back();
      const bool key = open.map && open.left % 2 == 0;
      if (key && head.item.kind != Kind::kText) return "a map has a key that is not text";
      open.left = open.indefinite ? open.left + 1 : open.left - 1;
    }
    if (head.item.kind == Kind::kText && !is_utf8(head.item.text)) return "a text is not UTF-8";
    const auto index = static_cast<uint32_t>(items_.size());
    items_.push_back(head.item);
    items_.back().next = index + 1;
    if (head.item.kind == Kind::kArray || head.item.kind == Kind::kMap) {
      if (stack_.size() >= limits_.depth_max) return "the document is nested too deeply";
      if (head.size > limits_.bytes_max) return "the CBOR is cut short";
      const bool map = head.item.kind == Kind::kMap;
      const bool indefinite = head.shape == Head::Shape::kIndefinite;
      stack_.push_back({index, map, indefinite, map && !indefinite ? head.size * 2 : head.size});
    }
    return finish_full();
  }

  const char* finish_full() {
    while (!stack_.empty() && !stack_.back().indefinite && stack_.back().left == 0) close();
    return nullptr;
  }
  void close() {
    items_[stack_.back().index].next = static_cast<uint32_t>(items_.size());
    stack_.pop_back();
  }

  const ReportLimits& limits_;
  std::vector<CborItem>& items_;
  std::vector<Open> stack_;
};

class CborNode {
 public:
  CborNode(const std::vector<CborItem>& items, uint32_t index) : items_(&items), index_(index) {}

  bool is_object() const { return item().kind == Kind::kMap; }
  bool is_array() const { return item().kind == Kind::kArray; }
  bool number(Number& out) const {
    const CborItem& self = item();
    if (self.kind == Kind::kFloat) {
      out = number_of(self.real);
      return true;
    }
    if (self.kind != Kind::kUnsigned && self.kind != Kind::kNegative) return false;
    out.negative = self.kind == Kind::kNegative;
    // -1 - 2^64 + 1 does not fit the magnitude; nothing that is asked for may be negative and that large.
    out.whole = !out.negative || self.integer != std::numeric_limits<uint64_t>::max();
    out.magnitude = out.negative ? self.integer + 1 : self.integer;
    out.value = out.negative ? -1.0 - static_cast<double>(self.integer) : static_cast<double>(self.integer);
    return true;
  }
  bool string(std::string_view& out) const {
    out = item().text;
    return item().kind == Kind::kText;
  }
  template <typename F>
  bool members(F each) const {
    for (uint32_t at = index_ + 1; at < item().next;) {
      const CborItem& key = (*items_)[at];
      if (!each(key.text, CborNode(*items_, key.next))) return false;
      at = (*items_)[key.next].next;
    }
    return true;
  }
  template <typename F>
  bool elements(F each) const {
    for (uint32_t at = index_ + 1; at < item().next; at = (*items_)[at].next) {
      if (!each(CborNode(*items_, at))) return false;
    }
    return true;
  }

 private:
  const CborItem& item() const { return (*items_)[index_]; }
  const std::vector<CborItem>* items_;
  uint32_t index_;
};

}  // namespace

tl::expected<void, Rejection> CborReports::parse(std::string_view payload, Report& out) {
  if (const char* why = CborReader(limits_, items_).read(payload)) {
    return tl::unexpected(
        Rejection{Rejection::Code::kInvalidPayload, std::string("Malformed metrics report: ") + why, 0});
  }
  return ReportWalk<CborNode>(limits_, out).run(CborNode(items_, 0));
}

}  // namespace fleetward::detect::internal
