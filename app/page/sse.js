// Reads server-sent events from a response body. It knows the framing, not what the events mean.

/**
 * Yield the data of each event. Chunks may be split anywhere: inside a line ending, or inside a character.
 * The body is cancelled when the reader leaves early.
 */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      // A carriage return at the very end may be the first half of a line ending.
      const usable = done || !rest.endsWith("\r") ? rest.length : rest.length - 1;
      const lines = rest.slice(0, usable).split(/\r\n|\n|\r/);
      rest = lines.pop() + rest.slice(usable);
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    // A body that broke has nothing left to cancel.
    await reader.cancel().catch(() => {});
  }
}
