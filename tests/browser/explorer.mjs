// node explorer.mjs URL FOLDER QUESTION: runs the notebook's cell, points at a text on the map and clicks it, asks the
// question in the panel, and takes pictures before, while and after.
import { createRequire } from 'node:module';
// Unlike `import`, `require` also looks in NODE_PATH.
const { chromium } = createRequire(import.meta.url)('playwright-core');

const [url, folder, question] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1300, height: 900 } });
  page.setDefaultTimeout(120000);
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  const cell = page.locator('.jp-Notebook .jp-CodeCell').first();
  do { // until the kernel is there, to run a cell does nothing
    await cell.locator('.jp-Editor').click();
    await page.keyboard.press('Shift+Enter');
    await page.waitForTimeout(2000);
  } while ((await cell.locator('.jp-InputPrompt').innerText()).trim() === '[ ]:');
  const panel = page.locator('.jp-OutputArea-output').filter({ has: page.locator('.widget-text input[type=text]') });
  const map = panel.locator('.inbedder-map img');
  await map.waitFor();
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/before.png` });
  const before = await map.getAttribute('src');
  const point = panel.locator('.inbedder-map i').last(); // the topmost, where points overlap
  const text = panel.locator('.inbedder-map i + div').last();
  const shown = async () => [await text.isVisible(), await point.evaluate((dot) => getComputedStyle(dot).outlineStyle)];
  console.log('not pointed at:', ...await shown());
  await point.hover();
  console.log('pointed at:', ...await shown());
  await page.screenshot({ path: `${folder}/pointed.png` });
  const read = (await text.innerText()).slice(0, 60);
  await point.click();
  await page.mouse.move(0, 0);
  await panel.locator('.widget-html').last().getByText(read).waitFor();
  console.log('clicked:', await panel.locator('.widget-select select option:checked').innerText());
  await panel.locator('.widget-text input[type=text]').fill(question);
  await page.keyboard.press('Enter');
  await panel.getByText(`: ${question}`).waitFor();
  await page.waitForFunction(
    ([image, old]) => image.src !== old, [await map.elementHandle(), before]);
  await panel.locator('.widget-select select').selectOption({ index: 2 });
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/after.png` });
  console.log(await panel.innerText());
} finally {
  await browser.close();
}
