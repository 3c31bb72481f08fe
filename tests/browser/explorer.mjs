// node explorer.mjs URL FOLDER QUESTION OPTIONS: runs the notebook's cell, points at a text on the map and clicks it,
// asks the question in the panel, splits a cluster and goes back, sorts the texts into options, and takes pictures.
import { createRequire } from 'node:module';
// Unlike `import`, `require` also looks in NODE_PATH.
const { chromium } = createRequire(import.meta.url)('playwright-core');

const [url, folder, question, options] = process.argv.slice(2);
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
  const boxes = panel.locator('.widget-text input[type=text]');
  await boxes.first().fill(question);
  await page.keyboard.press('Enter');
  await panel.getByText(`: ${question}`).waitFor();
  while (await picture() === before) await page.waitForTimeout(200);
  await panel.locator('.widget-select select').selectOption({ index: 2 });
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/after.png` });
  console.log(await panel.innerText());
  const changed = async (old) => { while (await picture() === old) await page.waitForTimeout(200); };
  const [split, up] = ['split', 'up'].map((name) => panel.getByRole('button', { name, exact: true }));
  const status = async () => (await panel.getByText(`: ${question}`).innerText()).replaceAll('\n', ' ');
  const whole = await picture();
  console.log('at the top:', await up.isDisabled());
  await split.click();
  await panel.getByText('messages > ').waitFor();
  await changed(whole);
  await page.screenshot({ path: `${folder}/split.png` });
  console.log('split:', await status());
  const part = await picture();
  await up.click();
  await changed(part);
  await panel.getByText('messages: ').waitFor();
  console.log('up again:', await up.isDisabled() && await picture() === whole);
  await boxes.last().fill(options);
  await page.keyboard.press('Enter');
  await panel.getByText(' options: ').waitFor();
  await changed(whole);
  await panel.locator('.widget-select select').selectOption({ index: 1 });
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/options.png` });
  console.log('sorted:', await status());
  for (const row of (await panel.locator('table').innerText()).split('\n')) console.log('row:', row);
  console.log('belongs:', await panel.locator('.widget-html').last().getByText('%').last().innerText());
} finally {
  await browser.close();
}
