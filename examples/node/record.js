import { createRequire } from 'node:module';
import { isIP } from 'node:net';

import grpc from '@grpc/grpc-js';

const { version } = createRequire(import.meta.url)('@grpc/grpc-js/package.json');

// write puts an object into a line of its own on stdout. To a pipe or a file, Node writes it before this returns.
export function write(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// startLine is the client's first line: what it was told, and what it made of it.
export function startLine(env, service, target, rate, timeout) {
  return {
    t: now(),
    service,
    target,
    authority: env.set[`GRPC_${service}_AUTHORITY`] ?? '',
    service_config: env.set[`GRPC_${service}_SERVICE_CONFIG`] ?? '',
    rate, // RPCs per second
    timeout_ms: timeout, // deadline of each RPC
    settings: env.set, // each variable that was set, as it was
    grpc: version,
  };
}

// say makes one RPC and reports what came of it. A failure is part of the report.
export async function say(client, timeout) {
  const t = now();
  const began = performance.now();
  let header = new grpc.Metadata(); // stays empty if no reply comes
  let call;
  const error = await new Promise((resolve) => {
    call = client.say({ text: 'hello' }, { deadline: Date.now() + timeout }, resolve);
    call.on('metadata', (metadata) => {
      header = metadata;
    });
  });
  const ms = Math.round((performance.now() - began) * 1000) / 1000;
  const peer = connected(call.getPeer());
  const line = { t, ms, pod: first(header, 'pod'), peer, code: error ? grpc.status[error.code] : 'OK' };
  if (error) {
    line.err = error.details;
  }
  if (differ(first(header, 'pod-ip'), peer)) {
    line.mismatch = true; // the reply came from a pod with another address than peer's
  }
  return line;
}

// connected returns the peer of a call, or nothing for what grpc-js says without a connection: the target, or a word.
function connected(peer) {
  return isIP(hostOf(peer)) ? peer : '';
}

// differ tells whether the pod's own address is known and not the one that the connection goes to.
function differ(podIP, peer) {
  return podIP !== '' && podIP !== hostOf(peer);
}

function hostOf(address) {
  return address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}

function first(metadata, name) {
  return metadata.get(name)[0] ?? '';
}

// now is the time in UTC, without trailing zeros.
function now() {
  return new Date().toISOString().replace(/\.?0+Z$/, 'Z');
}

// Served counts a server's RPCs. It writes the count once a second while RPCs arrive, and once more at the end.
export class Served {
  #pod;
  #attempts = 0;
  #retries = 0; // of these, what the client's library marked as a repetition
  #written = 0;
  #timer = setInterval(() => this.#attempts > this.#written && this.#write(), 1000).unref();

  constructor(pod) {
    this.#pod = pod;
  }

  count(metadata) {
    this.#attempts += 1;
    this.#retries += metadata.get('grpc-previous-rpc-attempts').length > 0 ? 1 : 0;
  }

  end() {
    clearInterval(this.#timer);
    this.#write();
  }

  #write() {
    this.#written = this.#attempts;
    write({ served: { t: now(), pod: this.#pod, attempts: this.#attempts, retries: this.#retries } });
  }
}
