// Where the page has its data from: the server.

export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const kinds = {
    u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i8: BigInt64Array, i1: Int8Array,
    f4: Float32Array, f8: Float64Array,
  };
  const arrays = {};
  for (const one of header.arrays)
    arrays[one.name] = new kinds[one.kind](buffer, 4 + length + one.offset, one.count);
  return { ...header, arrays };
}

async function answer(response) {
  if (!response.ok) {
    const error = new Error(await response.text());
    error.status = response.status;
    throw error;
  }
  return response;
}

const headers = {}; // whose page this is: cookies are the browser's, which others may use too

async function get(path) {
  return answer(await fetch(path, { headers, cache: "no-store" }));
}

async function post(path, body) {
  return answer(await fetch(path, { method: "POST", body, headers, cache: "no-store" }));
}

export class Server {
  offline = false;
  async list() {
    const data = unpack(await (await get("/api/list")).arrayBuffer());
    headers["X-Reviewer"] = encodeURIComponent(data.reviewer);
    return data;
  }
  async mine() { return (await get("/api/mine")).json(); }
  async others() { return unpack(await (await get("/api/others")).arrayBuffer()); }
  async order(since = "") {
    const response = await get(`/api/order?since=${since}`);
    return response.status === 202 ? null : unpack(await response.arrayBuffer());
  }
  async tiles(rows) {
    return new Uint8Array(await (await post("/api/tiles", new Uint32Array(rows))).arrayBuffer());
  }
  async averages() { return unpack(await (await get("/api/averages")).arrayBuffer()); }
  async pick(row) { return (await get(`/api/pick/${row}`)).json(); }
  async cube(row) { return unpack(await (await get(`/api/cube/${row}`)).arrayBuffer()); }
  async slab(row) { return unpack(await (await get(`/api/slab/${row}`)).arrayBuffer()); }
  async section(tomogram, z, thickness) {
    const path = `/api/section?tomogram=${tomogram}&z=${z}&thickness=${thickness}`;
    return unpack(await (await get(path)).arrayBuffer());
  }
  async places(tomogram) {
    return unpack(await (await get(`/api/places?tomogram=${tomogram}`)).arrayBuffer());
  }
  async refine(tomogram, x, y, z, diameter) {
    const path = `/api/refine?tomogram=${tomogram}&x=${x}&y=${y}&z=${z}&diameter=${diameter}`;
    return (await (await get(path)).json()).z;
  }
  async send(events) { await post("/api/events", JSON.stringify(events)); }
  async batch(disputed) {
    const body = JSON.stringify({ disputed });
    return unpack(await (await post("/api/batch", body)).arrayBuffer());
  }
  async team() { return (await get("/api/team")).json(); }
}
