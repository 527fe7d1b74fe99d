#include "broker/session_store.h"

#include <gtest/gtest.h>

#include "broker/commit_gate.h"
#include "broker/message_codec.h"
#include "log/memory_log.h"

namespace fleetward::broker {
namespace {

std::shared_ptr<Message> make_message(const std::string& topic, const std::string& payload) {
  auto message = std::make_shared<Message>();
  message->topic = topic;
  message->payload = payload;
  message->qos = 1;
  message->published = {123456};
  return message;
}

TEST(MessageCodec, round_trip_and_every_cut_is_corrupt) {
  auto message = make_message("a/b", std::string("p\0q", 3));
  message->retain = true;
  message->content_type = "application/json";
  message->response_topic = "r";
  message->correlation_data = std::string("\0\1", 2);
  message->payload_is_utf8 = true;
  message->user_properties = {{"k", "v"}, {"k", "w"}};
  message->expiry_seconds = 60;
  message->hops = 2;
  const std::string bytes = encode_message(*message);
  const auto back = decode_message(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(encode_message(**back), bytes);
  EXPECT_EQ((*back)->user_properties, message->user_properties);
  for (size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(decode_message(bytes.substr(0, cut))) << cut;
  EXPECT_FALSE(decode_message(bytes + "x"));
}

// [MQTT5-3.3.2-4] [MQTT5-3.3.2-16] [MQTT5-3.3.2-20]
TEST(MessageCodec, properties_with_their_default_value_are_not_lost) {
  mqtt::Publish publish;
  publish.topic = "a";
  publish.properties.set(mqtt::Property::kPayloadFormat, 0U);
  publish.properties.set(mqtt::Property::kContentType, std::string_view());
  publish.properties.set(mqtt::Property::kCorrelationData, std::string_view());
  Message message;
  from_publish(publish, {1}, message);
  const auto back = decode_message(encode_message(message));
  ASSERT_TRUE(back);
  mqtt::Publish out;
  ASSERT_TRUE(to_publish(**back, {1}, out));
  EXPECT_TRUE(out.properties.has(mqtt::Property::kPayloadFormat));
  EXPECT_TRUE(out.properties.has(mqtt::Property::kContentType));
  EXPECT_TRUE(out.properties.has(mqtt::Property::kCorrelationData));
  EXPECT_FALSE(out.properties.has(mqtt::Property::kResponseTopic));
}

TEST(MessageCodec, expiry_counts_down_and_runs_out) {
  auto message = make_message("a", "b");
  message->expiry_seconds = 10;
  mqtt::Publish publish;
  ASSERT_TRUE(to_publish(*message, message->published + Duration{4'200}, publish));
  EXPECT_EQ(publish.properties.number(mqtt::Property::kMessageExpiry), 6U);
  EXPECT_FALSE(to_publish(*message, message->published + Duration{10'000}, publish));
}

TEST(SessionStore, a_session_comes_back_as_it_was) {
  log::MemoryLog log;
  ClientSession session;
  session.client_id = "dev/1";  // a slash must not mix up two clients
  session.persistent = true;
  session.expiry_s = 3600;
  session.lifecycle_version = 5;
  session.disconnected_since = {7'000};
  SessionSubscription subscription;
  subscription.qos = 1;
  subscription.no_local = true;
  log::Batch batch;
  session_store::put_session(batch, session);
  session_store::put_subscription(batch, session.client_id, "a/#", subscription);
  for (uint64_t i : {1U, 2U, 300U}) {
    Outgoing outgoing;
    outgoing.sequence = i;
    outgoing.message = make_message("t", "m" + std::to_string(i));
    outgoing.retain = i == 2;
    session_store::put_message(batch, session.client_id, outgoing);
  }
  ClientSession other;
  other.client_id = "dev";
  other.persistent = true;
  session_store::put_session(batch, other);
  session_store::put_retained(batch, *make_message("r/1", "kept"));
  ASSERT_TRUE(log.write(std::move(batch)));

  std::vector<std::unique_ptr<ClientSession>> loaded;
  session_store::LoadTime now{{50'000}, {300}};
  const auto load = [&] {
    loaded.clear();
    return session_store::load_sessions(log, now, [&](auto s) { loaded.push_back(std::move(s)); });
  };
  ASSERT_TRUE(load());
  ASSERT_EQ(loaded.size(), 2U);
  EXPECT_EQ(loaded[0]->client_id, "dev");
  EXPECT_EQ(loaded[0]->disconnected_since, Timestamp{50'000}) << "open when the program ended";
  const ClientSession& back = *loaded[1];
  EXPECT_EQ(back.client_id, "dev/1");
  EXPECT_EQ(back.expires, Timestamp{300 + 3'600'000 - 43'000}) << "what is left, on the steady clock";
  EXPECT_EQ(back.lifecycle_version, 5);
  ASSERT_EQ(back.queue.size(), 3U);
  EXPECT_EQ(back.queue[2].message->payload, "m300");
  EXPECT_TRUE(back.queue[1].retain);
  EXPECT_EQ(back.next_sequence, 301U);
  ASSERT_EQ(back.subscriptions.size(), 1U);
  EXPECT_TRUE(back.subscriptions.at("a/#").no_local);

  now.wall = {1'000};  // set back while the program was down
  ASSERT_TRUE(load());
  EXPECT_EQ(loaded[1]->expires, Timestamp{300 + 3'600'000});
  now.wall = {10'000'000};
  ASSERT_TRUE(load());
  EXPECT_EQ(loaded[1]->expires, now.steady);

  int retained = 0;
  ASSERT_TRUE(session_store::load_retained(log, [&](const MessagePtr& m) {
    ++retained;
    EXPECT_EQ(m->payload, "kept");
  }));
  EXPECT_EQ(retained, 1);

  log::Batch end;
  session_store::erase_session(end, *loaded[1]);
  session_store::erase_retained(end, "r/1");
  ASSERT_TRUE(log.write(std::move(end)));
  ASSERT_TRUE(load());
  ASSERT_EQ(loaded.size(), 1U);
  EXPECT_EQ(loaded[0]->client_id, "dev");
}

// A message that many queues hold is in the log once, and as long as one of them holds it.
TEST(SessionStore, a_shared_message_is_stored_once_and_goes_with_its_last_queue) {
  log::MemoryLog log;
  const auto messages = [&] { return log.scan("message/", "message0", 100, false)->size(); };
  const auto write = [&](log::Batch& batch) {
    ASSERT_TRUE(log.write(std::move(batch)));
    batch = log::Batch();
  };
  std::vector<std::unique_ptr<ClientSession>> sessions;
  const auto shared = std::make_shared<SharedMessage>(77);
  log::Batch batch;
  for (const char* id : {"a", "b", "c"}) {
    sessions.push_back(std::make_unique<ClientSession>());
    ClientSession& session = *sessions.back();
    session.client_id = id;
    session.persistent = true;
    session.expiry_s = 10;
    session_store::put_session(batch, session);
    Outgoing outgoing;
    outgoing.sequence = 5;
    outgoing.retain = session.client_id == "b";
    outgoing.message = make_message("t", "one payload");
    outgoing.shared = shared;
    session_store::put_message(batch, id, outgoing);
    session.queue.push_back(std::move(outgoing));
  }
  write(batch);
  EXPECT_EQ(messages(), 1U);
  session_store::erase_message(batch, "b", sessions[1]->queue[0]);
  write(batch);
  EXPECT_EQ(messages(), 1U);

  sessions.clear();
  const auto last_id = session_store::load_sessions(
      log, {{1}, {1}}, [&](auto session) { sessions.push_back(std::move(session)); });
  ASSERT_TRUE(last_id);
  EXPECT_EQ(*last_id, 77U);
  ASSERT_EQ(sessions.size(), 3U);
  EXPECT_TRUE(sessions[1]->queue.empty());
  ASSERT_EQ(sessions[0]->queue.size(), 1U);
  EXPECT_EQ(sessions[0]->queue[0].message->payload, "one payload");
  EXPECT_EQ(sessions[0]->queue[0].message, sessions[2]->queue[0].message) << "in memory once, too";
  EXPECT_EQ(sessions[0]->next_sequence, 6U);

  session_store::erase_message(batch, "a", sessions[0]->queue[0]);
  session_store::erase_message(batch, "a", sessions[0]->queue[0]);  // counts once
  write(batch);
  EXPECT_EQ(messages(), 1U);
  session_store::erase_session(batch, *sessions[2]);
  write(batch);
  EXPECT_EQ(messages(), 0U);
  EXPECT_EQ(log.scan("session/c", "session/d", 100, false)->size(), 0U);
}

// Another shard let go of the message last, and the erasure of the other's reference was not durable yet.
TEST(SessionStore, a_reference_to_a_message_that_is_gone_is_let_go) {
  log::MemoryLog log;
  ClientSession session;
  session.client_id = "a";
  session.persistent = true;
  log::Batch batch;
  session_store::put_session(batch, session);
  Outgoing outgoing;
  outgoing.sequence = 5;
  outgoing.message = make_message("t", "x");
  outgoing.shared = std::make_shared<SharedMessage>(1);
  session_store::put_message(batch, "a", outgoing);
  batch.erase_range("message/", "message0");
  ASSERT_TRUE(log.write(std::move(batch)));
  size_t loaded = 0;
  ASSERT_TRUE(session_store::load_sessions(log, {{1}, {1}}, [&](const auto& s) {
    ++loaded;
    EXPECT_TRUE(s->queue.empty());
    EXPECT_EQ(s->next_sequence, 6U);
  }));
  EXPECT_EQ(loaded, 1U);
}

TEST(SessionStore, what_does_not_parse_is_corrupt_and_named) {
  log::MemoryLog log;
  log::Batch batch;
  batch.put(std::string("session/x\0m", 11), "nonsense");
  ASSERT_TRUE(log.write(std::move(batch)));
  const auto loaded = session_store::load_sessions(log, {{1}, {1}}, [](auto) {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(loaded.error().message.find("'x'"), std::string::npos);
}

TEST(SessionStore, how_far_qos_2_came_comes_back) {
  log::MemoryLog log;
  ClientSession session;
  session.client_id = "c";
  session.persistent = true;
  log::Batch batch;
  session_store::put_session(batch, session);
  for (uint64_t sequence = 1; sequence <= 4; ++sequence) {
    Outgoing outgoing;
    outgoing.sequence = sequence;
    outgoing.qos = sequence == 4 ? 1 : 2;
    outgoing.message = make_message("t", std::to_string(sequence));
    session_store::put_message(batch, "c", outgoing);
    if (sequence > 2) continue;
    outgoing.packet_id = static_cast<uint16_t>(500 + sequence);
    session_store::put_position(batch, "c", outgoing);
    if (sequence == 2) continue;
    session_store::erase_message(batch, "c", outgoing);
    outgoing.stage = Outgoing::Stage::kReleased;
    session_store::put_position(batch, "c", outgoing);
  }
  session_store::put_unreleased(batch, "c", 65'535);
  session_store::put_unreleased(batch, "c", 2);
  session_store::put_unreleased(batch, "c", 3);
  session_store::erase_unreleased(batch, "c", 3);
  ASSERT_TRUE(log.write(std::move(batch)));
  std::unique_ptr<ClientSession> back;
  ASSERT_TRUE(session_store::load_sessions(log, {{1}, {1}}, [&](auto s) { back = std::move(s); }));
  EXPECT_TRUE(back->restored);
  EXPECT_EQ(back->unreleased, (std::vector<uint16_t>{2, 65'535}));
  ASSERT_EQ(back->inflight.size(), 2U);
  EXPECT_EQ(back->inflight[1].stage, Outgoing::Stage::kReleased);
  EXPECT_EQ(back->inflight[1].packet_id, 501);
  EXPECT_FALSE(back->inflight[1].message);
  EXPECT_EQ(back->inflight[2].stage, Outgoing::Stage::kSent);
  EXPECT_EQ(back->inflight[2].packet_id, 502);
  EXPECT_EQ(back->inflight[2].message->payload, "2");
  ASSERT_EQ(back->queue.size(), 2U);
  EXPECT_EQ(back->queue[0].qos, 2);
  EXPECT_EQ(back->queue[1].qos, 1);
  EXPECT_EQ(back->next_sequence, 5U);
  EXPECT_EQ(back->queue_bytes, 3 * message_weight(*back->queue[0].message));
}

TEST(SessionStore, what_is_between_shards_comes_back_and_every_cut_is_corrupt) {
  log::MemoryLog log;
  log::Batch batch;
  const session_store::Routed routed{258, 3, 7, true, {{"g", "a/#"}, {"h", "+"}}, make_message("a/b", "p")};
  session_store::put_routed(batch, routed);
  std::string key, value;
  batch.visit_changes([&](const log::Batch::KeyChange& change) {
    key = change.key;
    value = change.value;
  });
  const auto load = [&](const std::string& bytes) -> Result<uint64_t> {
    log::Batch again;
    again.put(key, bytes);
    EXPECT_TRUE(log.write(std::move(again)));
    return session_store::load_routed(log, [&](const session_store::Routed& back) {
      EXPECT_EQ(back.id, 258U);
      EXPECT_EQ(back.shard, 3U);
      EXPECT_EQ(back.shards, 7U);
      EXPECT_TRUE(back.ordinary);
      ASSERT_EQ(back.shared.size(), 2U);
      EXPECT_EQ(back.shared[0].filter, "a/#");
      EXPECT_EQ(back.shared[1].group, "h");
      EXPECT_EQ(back.message->payload, "p");
    });
  };
  EXPECT_EQ(*load(value), 258U);
  for (size_t cut = 0; cut < value.size(); ++cut) {
    const auto loaded = load(value.substr(0, cut));
    ASSERT_FALSE(loaded) << cut;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(loaded.error().message.find("258"), std::string::npos);
  }
}

TEST(CommitGate, gathers_while_one_is_in_flight_and_tries_again) {
  log::MemoryLog log;
  ShardStats stats;
  std::vector<Status> results;
  CommitGate gate(log, 1000, Duration{500}, stats,
                  [&](Status result) { results.push_back(std::move(result)); });
  EXPECT_TRUE(gate.idle());
  gate.batch().put("a", "1");
  gate.wait({0, 1});
  gate.wait({0, 1});
  gate.wait({2, 9});
  log.set_trouble("disk full");
  gate.submit({1000});
  ASSERT_EQ(results.size(), 1U);
  EXPECT_TRUE(gate.on_result(results[0], {1000}).empty());
  EXPECT_EQ(gate.trouble(), "disk full");

  // Gathers behind it; nothing is sent before the interval is over.
  gate.batch().put("a", "2");
  gate.wait({0, 2});
  gate.submit({1400});
  EXPECT_EQ(results.size(), 1U);
  log.set_trouble("");
  gate.submit({1500});
  ASSERT_EQ(results.size(), 2U);
  const auto waiters = gate.on_result(results[1], {1500});
  ASSERT_EQ(waiters.size(), 2U);
  EXPECT_EQ(waiters[0].count, 2U);
  EXPECT_EQ(waiters[1].shard, 2U);
  EXPECT_EQ(**log.get("a"), "1");
  gate.submit({1500});
  EXPECT_EQ(gate.on_result(results[2], {1500}).size(), 1U);
  EXPECT_EQ(**log.get("a"), "2");
  EXPECT_TRUE(gate.idle());
  EXPECT_TRUE(gate.trouble().empty());
}

TEST(CommitGate, a_sync_that_fails_after_its_bytes_were_kept_stores_nothing_twice) {
  log::MemoryLog log;
  const log::Partition records{"records/x", 0};
  ShardStats stats;
  std::vector<Status> results;
  CommitGate gate(log, 1000, Duration{500}, stats,
                  [&](Status result) { results.push_back(std::move(result)); });
  gate.batch().append(records, "one", {1000});
  gate.wait({0, 1});
  log.fail_next_sync("Input/output error");
  gate.submit({1000});
  EXPECT_TRUE(gate.on_result(results.at(0), {1000}).empty());
  gate.batch().append(records, "two", {1000});
  gate.wait({0, 2});
  gate.submit({1500});
  EXPECT_TRUE(gate.on_result(results.at(1), {1500}).empty()) << "still in trouble";
  log.set_trouble("");
  gate.submit({2000});
  EXPECT_EQ(gate.on_result(results.at(2), {2000}).size(), 1U);
  EXPECT_EQ(log.range(records).end, 1U);
  gate.submit({2000});
  EXPECT_EQ(gate.on_result(results.at(3), {2000}).size(), 1U);
  EXPECT_EQ(log.range(records).end, 2U);
}

// However much one wake-up makes durable, no batch is larger than the log takes, and who waits, waits for all
// of it.
TEST(CommitGate, cuts_large_batches_and_waiters_wait_for_the_last) {
  log::MemoryLog log;
  ShardStats stats;
  int results = 0;
  CommitGate gate(log, size_t{64} << 20, Duration{500}, stats,
                  [&](const Status& result) { results += result ? 1 : 0; });
  const size_t before = gate.mark();
  for (int i = 0; i < 30; ++i) {
    gate.batch().put("key" + std::to_string(i), std::string(1 << 20, 'x'));
    gate.roll();
  }
  EXPECT_EQ(gate.mark() - before, 30U);
  gate.wait({0, 1});
  std::vector<Waiter> waiters;
  int commits = 0;
  while (!gate.idle()) {
    gate.submit({1});
    ASSERT_EQ(results, ++commits);
    ASSERT_TRUE(waiters.empty()) << "the last batch's";
    waiters = gate.on_result({}, {1});
  }
  EXPECT_EQ(waiters.size(), 1U);
  EXPECT_GE(commits, 7);

  // Cut exactly after the last thing: the waiter goes with it, not with nothing.
  gate.batch().put("big", std::string(CommitGate::kBatchBytes, 'x'));
  gate.roll();
  gate.wait({0, 2});
  gate.submit({1});
  EXPECT_EQ(gate.on_result({}, {1}).size(), 1U);
  EXPECT_TRUE(gate.idle());
}

TEST(CommitGate, what_belongs_together_is_one_batch) {
  log::MemoryLog log;
  ShardStats stats;
  CommitGate gate(log, size_t{256} << 20, Duration{500}, stats, [](const Status&) {});
  gate.batch().put("before", std::string(CommitGate::kBatchBytes, 'x'));
  gate.keep_whole(true);
  EXPECT_EQ(gate.cuts(), 1U) << "what gathered before";
  for (int i = 0; i < 6; ++i) {
    gate.batch().put("key" + std::to_string(i), std::string(1 << 20, 'x'));
    gate.wait({0, 1});
  }
  EXPECT_EQ(gate.cuts(), 1U);
  gate.keep_whole(false);
  EXPECT_EQ(gate.cuts(), 2U);
  gate.keep_whole(true);
  gate.batch().put("huge", std::string(CommitGate::kWholeBytes, 'x'));
  gate.roll();
  EXPECT_EQ(gate.cuts(), 3U) << "the log would not take much more";
}

TEST(Rounds, end_in_order) {
  Rounds rounds;
  Rounds::Round out;
  const uint64_t first = rounds.current().id;
  rounds.current().waits = 2;
  rounds.close();
  const uint64_t second = rounds.current().id;
  rounds.current().waits = 1;
  rounds.close();
  rounds.arrived(second, 1);
  EXPECT_FALSE(rounds.pop(out));
  rounds.arrived(first, 2);
  ASSERT_TRUE(rounds.pop(out));
  EXPECT_EQ(out.id, first);
  ASSERT_TRUE(rounds.pop(out));
  EXPECT_EQ(out.id, second);
  EXPECT_TRUE(rounds.empty());
  rounds.arrived(first, 1);  // late news of a round that is gone
}

}  // namespace
}  // namespace fleetward::broker
