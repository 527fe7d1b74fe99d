#include "lake/local_content.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace fleetward::lake {

LocalContent::LocalContent(ContentFiles& files, size_t inline_max, uint64_t bytes_max,
                           std::vector<ChecksumAlgorithm> algorithms)
    : files_(files),
      inline_max_(inline_max),
      bytes_max_(bytes_max),
      algorithms_(std::move(algorithms)),
      digests_(algorithms_) {}

LocalContent::~LocalContent() {
  const bool file = descriptor_ >= 0;
  if (file) ::close(descriptor_);
  if (committed_ || id_ == 0) return;
  if (file) {
    files_.discard(id_);
  } else {
    files_.settle(id_);
  }
}

StoreStatus LocalContent::append(std::string_view bytes) {
  if (bytes.size() > bytes_max_ - size_) {
    return refuse(Reason::kEntityTooLarge, "Your proposed upload exceeds the maximum allowed size.");
  }
  digests_.update(bytes);
  size_ += bytes.size();
  if (descriptor_ < 0) {
    memory_ += bytes;
    if (memory_.size() <= inline_max_) return {};
    id_ = files_.reserve();
    auto created = files_.create(id_);
    if (!created) return refuse(created.error());
    descriptor_ = *created;
    bytes = memory_;
  }
  StoreStatus written = write_all(descriptor_, bytes);
  if (!memory_.empty()) memory_ = std::string();
  return written;
}

StoreStatus LocalContent::seal() {
  digests_.finish();
  if (descriptor_ >= 0) return files_.sync(id_, descriptor_);
  if (size_ > 0 && id_ == 0) id_ = files_.reserve();
  return {};
}

void LocalContent::insert(Connection& db) const {
  if (id_ == 0) return;
  if (descriptor_ >= 0) {
    db.prepare("INSERT INTO files(id) VALUES(?)").bind(id_).step();
  } else {
    db.prepare("INSERT INTO contents(id, bytes) VALUES(?, ?)").bind(id_).bind_blob(memory_).step();
  }
}

void LocalContent::commit() {
  committed_ = true;
  if (id_ != 0) files_.settle(id_);
}

LocalReader::LocalReader(ContentFiles& files, ObjectInfo info, std::vector<Piece> pieces)
    : files_(files), info_(std::move(info)), pieces_(std::move(pieces)) {
  for (const Piece& piece : pieces_) {
    if (piece.content.id != 0 && !piece.content.inlined) pinned_.push_back(piece.content.id);
  }
  files_.pin(pinned_);
}

LocalReader::~LocalReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
  files_.unpin(pinned_);
}

StoreResult<ObjectReader::Span> LocalReader::part(int number) const {
  for (const Piece& piece : pieces_) {
    if (piece.number == number) return Span{piece.offset, piece.size, piece.checksum};
  }
  return refuse(Reason::kPartNumber, "The requested partnumber is not satisfiable");
}

StoreResult<std::string> LocalReader::read(uint64_t offset, size_t count) {
  if (offset >= info_.size || count == 0) return std::string();
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                      [](uint64_t at, const Piece& piece) { return at < piece.offset; });
  const Piece& piece = *(after - 1);
  const uint64_t start = offset - piece.offset;
  const auto size = static_cast<size_t>(std::min<uint64_t>(count, piece.size - start));
  if (piece.content.inlined) return piece.bytes.substr(static_cast<size_t>(start), size);
  if (open_id_ != piece.content.id) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::open(files_.path(piece.content.id).c_str(), O_RDONLY | O_CLOEXEC);
    open_id_ = descriptor_ >= 0 ? piece.content.id : 0;
  }
  if (descriptor_ < 0) {
    return refuse(errno == ENOENT ? Reason::kCorrupt : Reason::kUnavailable,
                  std::string("the object's bytes cannot be opened: ") + std::strerror(errno));
  }
  std::string out(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t n = ::pread(descriptor_, out.data() + got, size - got, static_cast<off_t>(start + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return refuse(Reason::kUnavailable, std::string("cannot read: ") + std::strerror(errno));
    if (n == 0) return refuse(Reason::kCorrupt, "the object's bytes are shorter than the index says");
    got += static_cast<size_t>(n);
  }
  return out;
}

void drop_content(Connection& db, ContentRef content, std::vector<uint64_t>& doomed) {
  if (content.id == 0) return;
  if (content.inlined) {
    db.prepare("DELETE FROM contents WHERE id = ?").bind(content.id).step();
  } else {
    db.prepare("UPDATE files SET garbage = 1 WHERE id = ?").bind(content.id).step();
    doomed.push_back(content.id);
  }
}

}  // namespace fleetward::lake
