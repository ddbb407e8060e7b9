const PAUSES = [300, 1000, 3000, 9000]; // milliseconds; a connection that fails now may work in a moment
async function load(attempt = 0) {
  try {
    return await import(`${location.origin}ADDRESS${attempt ? `?${attempt}` : ""}`); // another address: browsers remember failed imports
  } catch (error) {
    if (attempt === PAUSES.length) throw error;
    await new Promise((resolve) => setTimeout(resolve, PAUSES[attempt]));
    return load(attempt + 1);
  }
}
export default (await load()).default;
