// The official npm client of OpenAI. Its packages are where LUCIDA_TEST_CLIENTS_NODE says.

import { createRequire } from "node:module";
import { join } from "node:path";
import { argv, env, exit } from "node:process";

const require = createRequire(join(env.LUCIDA_TEST_CLIENTS_NODE, "package.json"));
const { default: OpenAI, NotFoundError } = require("openai");

const server = argv[2];
const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: "none", maxRetries: 0 });

// Numbers pass through decimal text.
const TOLERANCE = 1e-6;

function check(name, isRight, got) {
  console.log(`${name}: ${JSON.stringify(got)}`);
  if (!isRight) exit(1);
}

function same(name, got, expected) {
  const furthest = Math.max(...got.map((number, place) => Math.abs(number - expected[place])));
  check(name, got.length === expected.length && furthest <= TOLERANCE, furthest);
}

const texts = ["a cat", "a red car on the beach"];
const own = await fetch(`${server}/embed/text`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ texts }),
});
const expected = (await own.json()).embeddings;

// By default it asks for base64 and decodes it.
const answer = await client.embeddings.create({ model: "starter", input: texts });
check("inputs", answer.data.length === 2, answer.data.length);
for (const [place, vector] of answer.data.entries()) same(`input ${place}`, vector.embedding, expected[place]);
const numbers = await client.embeddings.create({ model: "starter", input: texts[0], encoding_format: "float" });
same("as numbers", numbers.data[0].embedding, expected[0]);

const models = [];
for await (const model of client.models.list()) models.push(model.id);
check("models", models.includes("starter"), models);

try {
  await client.embeddings.create({ model: "text-embedding-3-small", input: texts });
  check("unknown model", false, "was answered");
} catch (error) {
  check("unknown model", error instanceof NotFoundError && error.code === "model_not_found", error.message);
}
