// MQTT.js against a broker. Prints "ok" or says what went wrong.
//   node mqttjs.js <url> <4|5> <qos> <client id> <topic> <CA> <certificate> <key>
// Round trip of 20 messages over mutual TLS, a retained message, a session that is resumed with what it missed, a will.
const fs = require("fs");
const mqtt = require("mqtt");

const [url, versionText, qosText, id, topic, ca, certificate, key] = process.argv.slice(2);
const version = Number(versionText), qos = Number(qosText);

function expect(condition, what) {
  if (!condition) throw new Error(what);
}

async function dial(clientId, options = {}) {
  const client = mqtt.connect(url, {
    clientId, protocolVersion: version, clean: true, reconnectPeriod: 0, connectTimeout: 10000, keepalive: 30,
    ca: fs.readFileSync(ca), cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
    ...(version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}), ...options,
  });
  client.got = [];
  client.waiting = null;
  client.on("message", (name, payload, packet) => {
    client.got.push({ topic: name, text: payload.toString(), retain: packet.retain, qos: packet.qos, packet });
    if (client.waiting) client.waiting();
  });
  client.connack = await new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
  });
  return client;
}

async function receive(client) {
  const deadline = Date.now() + 10000;
  while (client.got.length === 0) {
    expect(Date.now() < deadline, "nothing arrived");
    await new Promise((resolve) => {
      client.waiting = resolve;
      setTimeout(resolve, 1000);
    });
  }
  return client.got.shift();
}

async function main() {
  const client = await dial(id);
  const granted = await client.subscribeAsync(`${topic}/+`, { qos });
  expect(granted[0].qos === qos, `granted ${granted[0].qos}`);
  const properties = version === 5 ? { properties: { userProperties: { k: ["1", "2"] } } } : {};
  for (let i = 0; i < 20; ++i) await client.publishAsync(`${topic}/x`, String(i), { qos, ...properties });
  for (let i = 0; i < 20; ++i) {
    const message = await receive(client);
    expect(message.text === String(i) && message.qos === qos, `order: ${message.text}`);
    if (version === 5) expect(message.packet.properties.userProperties.k.join() === "1,2", "user properties");
  }
  await client.publishAsync(`${topic}/kept`, "kept", { qos, retain: true });
  expect(!(await receive(client)).retain, "retain flag of a standing subscription");

  const last = await dial(`${id}-2`, { will: { topic: `${topic}/will`, payload: Buffer.from("gone"), qos, retain: false } });
  last.stream.destroy();
  expect((await receive(client)).text === "gone", "will");

  if (qos > 0) {
    let sleeper = await dial(`${id}-3`, { clean: false });
    expect(!sleeper.connack.sessionPresent, "a session before there was one");
    await sleeper.subscribeAsync(`${topic}/+`, { qos });
    expect((await receive(sleeper)).retain, "retained message");
    await sleeper.endAsync();
    for (let i = 0; i < 5; ++i) await client.publishAsync(`${topic}/x`, String(i), { qos });
    sleeper = await dial(`${id}-3`, { clean: false });
    expect(sleeper.connack.sessionPresent, "session present");
    for (let i = 0; i < 5; ++i) expect((await receive(sleeper)).text === String(i), "what was missed");
    await sleeper.endAsync();
  }
  await client.endAsync();
  console.log("ok");
}

main().then(() => process.exit(0), (error) => {
  console.log(String(error && error.stack || error));
  process.exit(1);
});
