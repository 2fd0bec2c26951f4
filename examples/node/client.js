import { setTimeout as sleep } from 'node:timers/promises';

import grpc from '@grpc/grpc-js';

import { EchoClient } from './echo.js';
import { onlySet } from './env.js';
import { say, startLine, write } from './record.js';

// snippet: begin

// newClient makes the one client of a service, of a class Client that is made from its proto file, with the settings
// that grpcbalance injects; name is ORDERS in GRPC_ORDERS_TARGET. Make it once and share it: a client for each
// request would balance nothing.
export function newClient(Client, env, name, fallback, more = {}) {
  const v = `GRPC_${name}_`;
  const target = env.text(`${v}TARGET`, fallback);
  const options = onlySet({
    'grpc.default_authority': env.text(`${v}AUTHORITY`),
    'grpc.service_config': env.text(`${v}SERVICE_CONFIG`),
    'grpc.dns_min_time_between_resolutions_ms': env.millis(`${v}MIN_RESOLUTION_INTERVAL_MS`),
    'grpc.keepalive_time_ms': env.millis(`${v}KEEPALIVE_TIME_MS`),
    'grpc.keepalive_timeout_ms': env.millis(`${v}KEEPALIVE_TIMEOUT_MS`),
    'grpc.keepalive_permit_without_calls': env.flag(`${v}KEEPALIVE_PERMIT_WITHOUT_CALLS`),
  });
  env.check(); // throws, and says what is malformed
  return new Client(target, grpc.credentials.createInsecure(), { ...options, ...more });
}

// snippet: end

// A timer of Node may be late by about a millisecond. That much is made up for, so that the mean rate holds.
const TIMER_LATENESS_MS = 5;

// run calls each service of SERVICE in turn, over a channel of its own, at a steady rate, one RPC at a time, until
// signal is aborted; the RPC then in flight is finished and recorded. It writes what record.js describes.
export async function run(env, signal) {
  const { names, fallback, rate, interval, timeout, idle } = callerSettings(env);
  const targets = names.map((name) => env.text(`GRPC_${name}_TARGET`, fallback));
  if (targets.some((target) => target.startsWith('xds:'))) {
    (await import('@grpc/grpc-js-xds')).register(); // 0.4 s and 57 MB, which others need not spend
  }
  const clients = names.map((name) => openClient(env, name, fallback, { 'grpc.client_idle_timeout_ms': idle }));

  names.forEach((name, i) => write({ start: startLine(env, name, targets[i], rate, timeout) }));
  let turn = performance.now();
  for (let i = 0; !signal.aborted; i++) {
    write(await say(clients[i % clients.length], timeout));
    turn = Math.max(turn + interval, performance.now() - TIMER_LATENESS_MS);
    await pause(turn - performance.now(), signal);
  }
  clients.forEach((client) => client.close());
}

// callerSettings is how the client calls. The same service may stand in names twice.
function callerSettings(env) {
  const names = env.text('SERVICE', '').split(',');
  const fallback = env.text('FALLBACK_TARGET', '');
  const rate = env.number('RATE', 50, 10_000, 'a whole number of RPCs per second, 1 to 10000');
  const interval = env.millis('INTERVAL_MS', 1000 / rate);
  const timeout = env.millis('TIMEOUT_MS', 1000);
  const idle = env.millis('IDLE_TIMEOUT_MS');
  for (const name of names) {
    if (!/^[A-Z0-9_]+$/.test(name)) {
      const want = 'the NAME in GRPC_<NAME>_TARGET, such as ORDERS, or several: ORDERS,PAYMENTS';
      env.fail('SERVICE', env.text('SERVICE', ''), want);
    } else if (env.text(`GRPC_${name}_TARGET`, fallback) === '') {
      env.fail(`GRPC_${name}_TARGET`, '', 'a target such as dns:///orders:5000, or one in FALLBACK_TARGET');
    }
  }
  return { names, fallback, rate, interval, timeout, idle };
}

// openClient names the variables when the library refuses what they say.
function openClient(env, name, fallback, more) {
  try {
    return newClient(EchoClient, env, name, fallback, onlySet(more));
  } catch (error) {
    env.check(); // a malformed variable explains itself
    throw new Error(`no channel from GRPC_${name}_…: ${error.message}`, { cause: error });
  }
}

// pause waits for a number of milliseconds, if it is above 0, or until signal is aborted.
async function pause(millis, signal) {
  if (millis > 0) {
    await sleep(millis, undefined, { signal }).catch(() => {}); // rejected only if aborted
  }
}
