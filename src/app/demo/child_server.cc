#include "app/demo/child_server.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <unistd.h>

#include "core/files.h"

namespace fleetward::app::demo {
namespace {

[[noreturn]] void become_server(const std::vector<std::string>& arguments, int output, int log) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // never outlives the demo
  ::setpgid(0, 0);                     // Ctrl-C goes to the demo, which stops this process in order
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv("/proc/self/exe", argv.data());
  _exit(127);
}

// Up to the first newline, or the end.
std::string read_line(int fd) {
  std::string line;
  char c = 0;
  while (true) {
    const ssize_t n = ::read(fd, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || c == '\n') return line;
    line += c;
  }
}

std::string last_line(const std::string& file) {
  const auto text = read_file(file);
  if (!text) return "no log";
  const size_t end = text->find_last_not_of('\n');
  if (end == std::string::npos) return "an empty log";
  const size_t begin = text->rfind('\n', end);
  return text->substr(begin == std::string::npos ? 0 : begin + 1,
                      end + 1 - (begin == std::string::npos ? 0 : begin + 1));
}

}  // namespace

Result<ChildServer> ChildServer::start(const std::string& data_directory, const std::string& config_file,
                                       const std::string& log_file) {
  const std::vector<std::string> arguments = {"fleetward",        "serve",
                                              "--data-dir",       data_directory,
                                              "--config",         config_file,
                                              "--api-listen",     "127.0.0.1:0",
                                              "--api-tls-listen", "127.0.0.1:0",
                                              "--mqtts-listen",   "127.0.0.1:0",
                                              "--alpn-listen",    ""};
  const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  int pipe_ends[2];
  if (log < 0 || ::pipe2(pipe_ends, O_CLOEXEC) != 0) {
    return fail(ErrorCode::kUnavailable, log_file + ": " + std::strerror(errno));
  }
  ChildServer child;
  child.pid_ = ::fork();
  if (child.pid_ == 0) become_server(arguments, pipe_ends[1], log);
  ::close(pipe_ends[1]);
  ::close(log);
  const std::string line = child.pid_ < 0 ? std::string() : read_line(pipe_ends[0]);
  ::close(pipe_ends[0]);
  if (line.rfind("ready", 0) != 0)
    return fail(ErrorCode::kUnavailable, "the server did not start: " + last_line(log_file));
  auto endpoints = Endpoints::load(data_directory);
  if (!endpoints) return fail(endpoints.error());
  auto key = RootKey::load(data_directory);
  if (!key) return fail(key.error());
  child.endpoints_ = std::move(*endpoints);
  child.key_ = std::move(*key);
  return child;
}

ChildServer::ChildServer(ChildServer&& other) noexcept
    : pid_(other.pid_), endpoints_(std::move(other.endpoints_)), key_(std::move(other.key_)) {
  other.pid_ = -1;
}

ChildServer::~ChildServer() {
  stop();
}

int ChildServer::stop() {
  if (pid_ <= 0) return 0;
  ::kill(pid_, SIGTERM);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace fleetward::app::demo
