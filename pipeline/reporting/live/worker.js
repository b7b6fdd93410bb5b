// The models' own thread. Of the jobs asked for the most urgent goes on first, a few milliseconds at a time.

import { makeJobs } from "./jobs.js";
import { Model } from "./model.js";
import { unpack } from "./weights.js";

const SLICE = 8; // milliseconds between two looks at what else was asked for
const running = new Map();
const turn = new MessageChannel();
let jobs = null,
  waiting = false;

function schedule() {
  if (waiting || !jobs || !running.size) return;
  waiting = true;
  turn.port2.postMessage(null);
}

turn.port1.onmessage = () => {
  waiting = false;
  const [channel, job] = [...running].reduce((first, other) => (other[1].urgency < first[1].urgency ? other : first));
  for (const end = performance.now() + SLICE; performance.now() < end;) {
    job.going ??= jobs[job.kind](job);
    const { value, done } = job.going.next();
    if (value) postMessage({ channel, ...value });
    if (done) {
      running.delete(channel);
      postMessage({ channel, finished: true });
      break;
    }
  }
  schedule();
};

onmessage = async ({ data }) => {
  if (data.models) {
    const layers = await unpack(data.models, data.streams);
    const names = Object.keys(data.models);
    jobs = makeJobs(Object.fromEntries(names.map((name) => [name, new Model(data.models[name], layers[name])])));
    postMessage({ ready: true });
  } else running.set(data.channel, data);
  schedule();
};
