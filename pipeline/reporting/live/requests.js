// The page's side of the worker: of each kind of request one is under way, and of those that follow the newest waits.

export class Requests {
  constructor() {
    this.channels = new Map();
    this.worker = null;
  }

  // Starts the worker; until then requests wait.
  start(source, models, streams) {
    this.worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    this.worker.postMessage({ models, streams });
    this.channels.forEach((channel) => this.send(channel));
    return new Promise((ready) => {
      this.worker.onmessage = ({ data }) => (data.ready ? ready() : this.receive(data));
    });
  }

  // A function that asks for jobs of a kind; `show(message)` gets what they yield. The smaller urgency goes first.
  channel(name, kind, urgency, show) {
    const channel = { kind, urgency, show, busy: false, next: null };
    this.channels.set(name, channel);
    return (job) => {
      channel.next = { ...job, channel: name, kind, urgency };
      this.send(channel);
    };
  }

  send(channel) {
    if (!this.worker || channel.busy || !channel.next) return;
    channel.busy = true;
    this.worker.postMessage(channel.next);
    channel.next = null;
    this.tell();
  }

  // Says on the page what is under way.
  tell() {
    const busy = [...this.channels].filter(([, channel]) => channel.busy);
    document.body.dataset.busy = busy.map(([name]) => name).join(" ");
  }

  receive(message) {
    const channel = this.channels.get(message.channel);
    if (!message.finished) return channel.show(message);
    channel.busy = false;
    this.send(channel);
    this.tell();
  }
}
