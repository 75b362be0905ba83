// The unmodified npm `ehbp` package against a running instance: BASE MODEL.
import { Transport } from "ehbp";

const [base, model] = process.argv.slice(2);
const transport = await Transport.create(base);
const body = (extra) =>
  JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], temperature: 0, max_tokens: 16, ...extra });
const ask = (extra) =>
  transport.request(`${base}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: body(extra),
  });

const whole = await (await ask({})).json();
const text = whole.choices[0].message.content;
const streamed = await (await ask({ stream: true })).text();
const frames = streamed.split("\n\n").filter(Boolean);
if (frames.at(-1) !== "data: [DONE]") throw new Error("no [DONE]");
const joined = frames
  .slice(0, -1)
  .map((frame) => JSON.parse(frame.slice(6)).choices[0].delta.content ?? "")
  .join("");
if (joined !== text) throw new Error(`${joined} is not ${text}`);
console.log("node ehbp ok:", JSON.stringify(text));
process.exit(0);
