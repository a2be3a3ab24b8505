// Receives deliveries that are signed with ed25519: verifies, answers, and works
// afterwards. CALLBOARD_SECRET is the public key (whpk_...). The library knows only
// secrets that both sides share, so this verifies with what Node.js brings.

import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import { env } from "node:process";

const maxBodyBytes = 1 << 20;
const toleranceSeconds = 5 * 60;

if (!env.CALLBOARD_SECRET?.startsWith("whpk_")) throw new Error("CALLBOARD_SECRET has to be a whpk_...");
const publicKey = createPublicKey({
  format: "jwk",
  key: {
    kty: "OKP",
    crv: "Ed25519",
    x: Buffer.from(env.CALLBOARD_SECRET.slice("whpk_".length), "base64").toString("base64url"),
  },
});

// A delivery can come twice. A real receiver keeps the ids in a table with a unique
// key, and writes each, with the event, before it answers.
const seen = new Set();

const server = createServer(async (request, response) => {
  try {
    response.writeHead(await receive(request)).end();
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});

/** What to answer. */
async function receive(request) {
  const body = await read(request);
  if (!body) return 413;
  if (!isGenuine(request.headers, body)) return 401;
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    setImmediate(work, id, JSON.parse(body));
  }
  return 204;
}

function isGenuine(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !signatures || !/^\d+$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > toleranceSeconds) return false;
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  return signatures.split(" ").some((signature) => {
    const [version, encoded = ""] = signature.split(",");
    return version === "v1a" && verify(null, signed, publicKey, Buffer.from(encoded, "base64"));
  });
}

/** The body as it came, byte by byte; null if it is too large. */
async function read(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function work(id, event) {
  console.log(`${event.type} ${event.subject.id} (${id})`);
}

server.listen(Number(env.PORT), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
