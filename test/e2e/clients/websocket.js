// JavaScript clients over WebSockets: node websocket.js <mqtt|awsiot> <options as JSON>
// Connects, subscribes, publishes one message to itself, prints it, and leaves.
'use strict';
const [, , kind, json] = process.argv;
const o = JSON.parse(json);
const fs = require('fs');

function leave(error) {
  if (error) console.error(String(error));
  process.exit(error ? 1 : 0);
}
setTimeout(() => leave('timed out'), 20000);

async function withMqttJs() {
  const mqtt = require('mqtt');
  const client = mqtt.connect(o.url, {
    clientId: o.client_id, protocolVersion: o.version, reconnectPeriod: 0,
    ca: o.ca && fs.readFileSync(o.ca), cert: o.cert && fs.readFileSync(o.cert), key: o.key && fs.readFileSync(o.key),
  });
  client.on('error', leave);
  client.on('connect', () => client.subscribe(o.topic, { qos: 1 }, (error) => {
    if (error) return leave(error);
    client.publish(o.topic, o.payload, { qos: 1 });
  }));
  client.on('message', (topic, payload) => {
    console.log(JSON.stringify({ topic, size: payload.length }));
    client.end(false, {}, () => leave());
  });
}

async function withAwsIot() {
  const { mqtt, iot, auth } = require('aws-iot-device-sdk-v2');
  const builder = iot.AwsIotMqttConnectionConfigBuilder.new_with_websockets({
    region: o.region,
    credentials_provider: auth.AwsCredentialsProvider.newStatic(o.access_key, o.secret_key, o.token),
  });
  builder.with_certificate_authority_from_path(undefined, o.ca);
  builder.with_client_id(o.client_id).with_endpoint('localhost').with_port(o.port).with_clean_session(true);
  const connection = new mqtt.MqttClient().new_connection(builder.build());
  await connection.connect();
  const seen = new Promise((resolve) => connection.subscribe(o.topic, mqtt.QoS.AtLeastOnce,
    (topic, payload) => resolve({ topic, size: payload.byteLength })).then(() =>
    connection.publish(o.topic, o.payload, mqtt.QoS.AtLeastOnce)));
  console.log(JSON.stringify(await seen));
  await connection.disconnect();
  leave();
}

(kind === 'mqtt' ? withMqttJs() : withAwsIot()).catch(leave);
