// The REST API as this page uses it. Addresses are relative, so the page works under any prefix.

import { events } from "./sse.js";

const KEY = "raglan-key";

/** A request the server refused, or never got. `message` may be shown; `status` is 0 when there was no answer. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

let given = "";

/** The API key of this tab. */
export const key = {
  get() {
    try {
      return sessionStorage.getItem(KEY) ?? given;
    } catch {
      return given;
    }
  },
  set(value) {
    given = value;
    try {
      value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY);
    } catch {
      // Storage can be forbidden; the key then lasts as long as the page.
    }
  },
};

/** Fires "unauthorized" whenever the server asks for a key, and "changed" when the person has given one. */
export const access = new EventTarget();

const headers = () => (key.get() ? { Authorization: `Bearer ${key.get()}` } : {});

/** The error that an OpenAI error envelope tells; proxies may send bodies that hold none. */
function refusal(status, text, retryAfter) {
  if (status === 401) access.dispatchEvent(new Event("unauthorized"));
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {
    // Not ours: the status alone has to do.
  }
  const message = error.message ?? `The server answered with status ${status}.`;
  return new ApiError(message, { status, code: error.code ?? "", retryAfter: Number(retryAfter) || 0 });
}

async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.");
  }
  if (response.ok) return response;
  throw refusal(response.status, await response.text(), response.headers.get("Retry-After"));
}

const post = (path, body, options = {}) =>
  send(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, ...options });

/** The models a request may name, by id. */
export const models = async () => (await (await send("v1/models")).json()).data.map((model) => model.id);

/** The stored documents. */
export const documents = async () => (await (await send("v1/documents")).json()).data;

/** Remove a document for good. */
export const remove = (id) => send(`v1/documents/${encodeURIComponent(id)}`, { method: "DELETE" });

/** Store a rating of an answer. */
export const rate = (feedback) => post("v1/feedback", feedback);

/** Flagged exchanges of a status, behind the one with the id `after`, with how many there are of each status. */
export const reviews = async (status, after = "") =>
  (await send(`v1/reviews?limit=20&status=${status}${after && `&after=${after}`}`)).json();

/** Decide on a flagged exchange; returns it as it is then. */
export const decide = async (id, decision) => (await post(`v1/reviews/${id}`, decision)).json();

/** Yield the chunks of an answer. Throws ApiError, before the first chunk or between two; AbortError when stopped. */
export async function* complete(request, signal) {
  const body = { ...request, stream: true, stream_options: { include_usage: true } };
  const response = await post("v1/chat/completions", body, { signal });
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, { code: chunk.error.code ?? "" });
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw new ApiError("The connection broke before the answer was complete.");
  }
  throw new ApiError("The answer ended before it was complete.");
}

/** Store one file and return what was made of it. `onProgress` gets the part sent, 0 to 1; fetch cannot tell that. */
export function upload(file, onProgress) {
  const form = new FormData();
  form.append("files", file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "v1/documents");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onerror = () => reject(new ApiError("The server cannot be reached."));
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText).data);
      else reject(refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.send(form);
  });
}
