// Filters over what is in the page already. Text goes in by textContent only.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const form = byId("filters");
  const root = byId("report");
  const status = byId("status");
  const answer = byId("answer");
  const data = JSON.parse(byId("data").textContent);
  let problem = "";

  // Addresses are BigInt: an IPv6 address does not fit in a number.
  const parseIPv4 = (text) => {
    const parts = text.split(".");
    if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) return null;
    return parts.reduce((value, part) => value * 256n + BigInt(part), 0n);
  };
  const parseIPv6 = (text) => {
    const dotted = text.lastIndexOf(":") + 1;
    if (text.includes(".")) {
      const low = parseIPv4(text.slice(dotted));
      if (low === null) return null;
      text = text.slice(0, dotted) + (low >> 16n).toString(16) + ":" + (low & 65535n).toString(16);
    }
    const halves = text.split("::");
    if (halves.length > 2) return null;
    const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
    const groups = halves.length === 1 ? head : [...head, ...Array(Math.max(0, 8 - head.length - tail.length)).fill("0"), ...tail];
    if (groups.length !== 8 || (halves.length === 2 && head.length + tail.length > 7)) return null;
    if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
    return groups.reduce((value, group) => value * 65536n + BigInt("0x" + group), 0n);
  };
  const parseAddress = (text) => {
    const family = text.includes(":") ? 6 : 4;
    const value = family === 6 ? parseIPv6(text) : parseIPv4(text);
    return value === null ? null : { family, value, text };
  };

  const parsed = new Map();
  const blocksOf = (number) => {
    if (!parsed.has(number)) {
      parsed.set(number, data.sources[number].map((cidr) => {
        const [text, length] = cidr.split("/");
        const address = parseAddress(text);
        const shift = BigInt((address.family === 6 ? 128 : 32) - Number(length));
        return { family: address.family, network: address.value >> shift, shift };
      }));
    }
    return parsed.get(number);
  };
  const holds = (number, address) =>
    blocksOf(number).some((block) => block.family === address.family && address.value >> block.shift === block.network);

  const ranges = (text, last) => (text === undefined || text === "any" ? [[0, last]] : text.split(",").map((part) => {
    const [low, high] = part.split("-").map(Number);
    return [low, high === undefined ? low : high];
  }));
  const protocolRanges = (text) => (text === "any" ? [[0, 255]] : text.split(",").flatMap((part) =>
    (part in data.protocols ? [[data.protocols[part], data.protocols[part]]] : ranges(part, 255))));
  const meet = (some, low, high) => some.some(([from, to]) => from <= high && low <= to);

  // "443", "443/tcp", "tcp/443", "tcp 8000-8080", "icmp".
  const parsePort = (text) => {
    const asked = { protocol: null, ports: null };
    for (const word of text.toLowerCase().split(/[\s/:]+/).filter(Boolean)) {
      const numbers = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(word);
      if (numbers && asked.ports === null) {
        asked.ports = [Number(numbers[1]), Number(numbers[2] ?? numbers[1])];
        if (asked.ports[0] > asked.ports[1] || asked.ports[1] > 65535) return null;
      } else if (Object.hasOwn(data.protocols, word) && asked.protocol === null) {
        asked.protocol = data.protocols[word];
      } else {
        return null;
      }
    }
    return asked;
  };
  const PORTED = [6, 17, 33, 132, 136];
  const serves = (protocols, ports, asked) => {
    if (asked.protocol !== null && !meet(protocols, asked.protocol, asked.protocol)) return false;
    if (asked.ports === null) return true;
    const candidates = asked.protocol === null ? PORTED : PORTED.filter((number) => number === asked.protocol);
    return candidates.some((number) => meet(protocols, number, number)) && meet(ports, ...asked.ports);
  };
  const boxServes = (box, asked) => serves(protocolRanges(box.protocol), ranges(box.ports, 65535), asked);

  const element = (name, text, ...classes) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    made.classList.add(...classes);
    return made;
  };
  const count = (number, one, many) => `${number} ${number === 1 ? one : many ?? one + "s"}`;

  const readFields = () => {
    const read = (name, parse, example) => {
      const field = form.elements[name];
      const text = field ? field.value.trim() : "";
      if (!field || text === "") {
        field?.removeAttribute("aria-invalid");
        return null;
      }
      const value = parse(text);
      if (value === null) {
        field.setAttribute("aria-invalid", "true");
        problem ||= `${text} is no ${name}: for example ${example}`;
        return null;
      }
      field.removeAttribute("aria-invalid");
      return value;
    };
    problem = "";
    return {
      port: read("port", parsePort, "443, 443/tcp, 8000-8080 or icmp"),
      address: read("address", parseAddress, "10.1.2.3 or 2001:db8::1"),
    };
  };

  const WHO = { external: "a source outside the cluster", pod: "a pod", node: "a node" };
  const tellAnswer = (address, port) => {
    answer.replaceChildren();
    answer.hidden = !address || data.access.length === 0;
    if (answer.hidden) return;
    const boxes = data.access.filter((box) => holds(box.source, address) && (!port || boxServes(box, port)));
    answer.append(element("h3", `What ${address.text} can reach`));
    if (boxes.length === 0) {
      answer.append(element("p", "Nothing: refused before and after."));
      return;
    }
    const alike = new Map();
    for (const box of boxes) {
      const key = [box.service, box.before, box.after].join("\n");
      if (!alike.has(key)) alike.set(key, { box, classes: [] });
      alike.get(key).classes.push(box.source_class);
    }
    const table = element("table", "", "grid");
    const head = table.createTHead().insertRow();
    for (const title of ["Service", "Before", "After", "As", "Compared"]) {
      const cell = element("th", title);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const { box, classes } of alike.values()) {
      const row = body.insertRow();
      row.append(element("td", box.service, "svc"));
      for (const state of [box.before, box.after]) {
        const cell = document.createElement("td");
        cell.append(element("span", state, "st", state));
        row.append(cell);
      }
      row.append(element("td", classes.map((name) => WHO[name] ?? name).join(", ")));
      row.append(element("td", box.before === box.after ? "same" : "differs"));
    }
    answer.append(table);
    if (boxes.some((box) => box.source_class in WHO && box.source_class !== "external")) {
      answer.append(element("p", "Of pods and nodes that is told in which they are treated unlike a source outside the cluster."));
    }
    answer.append(element("p", port ? "For that port; clear it to see every service." : "Everything else is refused before and after."));
  };

  const showPicture = (address, port) => {
    const picture = byId("picture");
    if (!picture) return;
    const columns = data.columns.map((services) => !port || services.some(([protocols, ports]) => serves([protocols], [ports], port)));
    const found = new Set();
    if (address) {
      for (const block of data.blocks) {
        const key = block.filter((number) => holds(data.access[number].source, address)).join(",");
        if (key in data.rows) found.add(data.rows[key]);
      }
    }
    for (const row of picture.rows) {
      if (row.id) {
        row.hidden = Boolean(address) && !found.has(row.id);
        row.classList.toggle("found", found.has(row.id));
      }
      if (row.cells.length === columns.length + 1) {
        columns.forEach((visible, place) => { row.cells[place + 1].hidden = !visible; });
      }
    }
    for (const body of picture.tBodies) body.hidden = Boolean(address) && ![...body.rows].some((row) => found.has(row.id));
  };

  const apply = () => {
    const { port, address } = readFields();
    let shown = 0;
    for (const box of form.querySelectorAll("input[type=checkbox]")) root.classList.toggle("no-" + box.value, !box.checked);
    data.differences.forEach((box, number) => {
      const visible = (!port || boxServes(box, port)) && (!address || holds(box.source, address));
      byId("d" + (number + 1)).hidden = !visible;
    });
    data.access.forEach((box, number) => {
      byId("a" + (number + 1)).hidden = !((!port || boxServes(box, port)) && (!address || holds(box.source, address)));
    });
    for (const line of root.querySelectorAll(".kept-in-sight")) line.classList.remove("kept-in-sight");
    showPicture(address, port);
    tellAnswer(address, port);
    status.classList.toggle("wrong", problem !== "");
    if (problem) {
      status.textContent = problem;
      return;
    }
    const off = (name) => root.classList.contains("no-" + name);
    const parts = [];
    const tell = (all, visible, one) => {
      if (all.length && visible < all.length) parts.push(`${visible} of ${count(all.length, one)}`);
    };
    const unseen = (each) => each.hidden || ["error", "warning", "info"].some((name) => off(name) && each.classList.contains("is-" + name));
    for (const [selector, one] of [[".difference", "difference"], [".finding", "finding"]]) {
      const all = [...root.querySelectorAll(selector)];
      shown = all.filter((each) => !unseen(each)).length;
      tell(all, shown, one);
    }
    if ([...form.querySelectorAll("input[name=fate]")].some((box) => !box.checked)) {
      const lines = [...root.querySelectorAll(".ruled .l")];
      shown = lines.filter((line) => !off([...line.classList].find((name) => name.startsWith("f-"))?.slice(2) ?? "none")).length;
      tell(lines, shown, "line");
    }
    const told = [];
    if (address && !answer.hidden) {
      const services = answer.querySelectorAll("tbody tr").length;
      told.push(services ? `${address.text} may reach ${count(services, "service")}, listed above the picture.` : `${address.text} reaches nothing.`);
    }
    if (parts.length) told.push(`Showing ${parts.join(", ")}.`);
    status.textContent = told.join(" ");
  };

  // A link may lead to a line that a filter hides: it is shown again.
  const reveal = (id) => {
    const target = id && byId(id);
    if (!target) return;
    if (target.classList.contains("l")) target.classList.add("kept-in-sight");
    else target.hidden = false;
    if (target.matches("details")) target.open = true;
    const around = target.parentElement.closest("details");
    if (around) around.open = true;
  };
  let lit = [];
  const light = (line) => {
    for (const each of lit) each.classList.remove("counterpart");
    lit = line ? [...line.querySelectorAll(".to a:not(.note)")].map((link) => byId(link.hash.slice(1))).filter(Boolean) : [];
    for (const each of lit) each.classList.add("counterpart");
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link) reveal(link.hash.slice(1));
  });
  window.addEventListener("hashchange", () => reveal(location.hash.slice(1)));
  for (const name of ["mouseover", "focusin"]) {
    document.addEventListener(name, (event) => light(event.target.closest?.(".l") ?? null));
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
    if (!answer.hidden) answer.focus();
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const field of form.querySelectorAll("input")) {
      if (field.type === "checkbox") field.checked = true;
      else field.value = "";
    }
    apply();
  });
  form.addEventListener("change", apply);
  reveal(location.hash.slice(1));
})();
