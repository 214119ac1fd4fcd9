// Shows the hits of a search newest first, and keeps a diary of what became of photos on stdout.
//
// A program behind Lucida's plugin `remote`; needs nothing but Node 20 or newer. See README.md in this folder.
import { createServer } from "node:http";

const taken = ({ photo }) => Date.parse(photo.taken_at ?? photo.created_at);

const hooks = {
  "/rerank": ({ hits }) => ({
    hits: hits.toSorted((one, other) => taken(other) - taken(one)).map(({ photo }) => ({ id: photo.id })),
  }),
  "/event": ({ event, photo }) => console.log(`${photo.filename ?? photo.id} is ${event}`),
};

createServer(async (request, response) => {
  let body = "";
  for await (const piece of request) body += piece;
  const hook = hooks[request.url];
  if (!hook) {
    response.writeHead(404).end(JSON.stringify({ error: `no ${request.url} here` }));
    return;
  }
  response.writeHead(200).end(JSON.stringify(hook(JSON.parse(body)) ?? {}));
}).listen(Number(process.argv[2] ?? 9001), "127.0.0.1");
