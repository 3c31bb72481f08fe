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
  const map = panel.locator('.jupyter-matplotlib canvas').first();
  await map.waitFor();
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/before.png` });
  const picture = () => map.evaluate((canvas) => canvas.toDataURL());
  const before = await picture();
  const box = await map.boundingBox();
  const hint = panel.getByText('Point at a text on the map');
  console.log('not pointed at:', await hint.isVisible());
  for (let step = 0; await hint.isVisible(); step += 1) { // the kernel knows where the texts are, and so it is searched
    if (step === 2000) throw new Error('there is no text on the map');
    await page.mouse.move(box.x + box.width * (0.2 + 0.0151 * (step % 40)), box.y + box.height * (0.2 + 0.012 * (step / 40)));
    await page.waitForTimeout(50);
  }
  await page.waitForTimeout(500);
  console.log('pointed at:', !(await hint.isVisible()));
  await page.screenshot({ path: `${folder}/pointed.png` });
  const read = (await panel.locator('.widget-html', { hasText: 'answer:' }).first().innerText()).slice(0, 60);
  await page.mouse.down();
  await page.mouse.up();
  await panel.locator('.widget-html').last().getByText(read).waitFor();
  console.log('clicked:', await panel.locator('.widget-select select option:checked').innerText());
  console.log('read:', read);
  await panel.locator('.widget-text input[type=text]').fill(question);
  await page.keyboard.press('Enter');
  await panel.getByText(`: ${question}`).waitFor();
  while (await picture() === before) await page.waitForTimeout(200);
  await panel.locator('.widget-select select').selectOption({ index: 2 });
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/after.png` });
  console.log(await panel.innerText());
} finally {
  await browser.close();
}
