// Receives deliveries of Callboard: verifies, answers, and works afterwards.

import { createServer } from "node:http";
import { env } from "node:process";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const maxBodyBytes = 1 << 20;
const webhook = new Webhook(env.CALLBOARD_SECRET);

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
  let event;
  try {
    event = webhook.verify(body, request.headers);
  } catch (error) {
    if (error instanceof WebhookVerificationError) return 401;
    throw error;
  }
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    setImmediate(work, id, event);
  }
  return 204;
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
