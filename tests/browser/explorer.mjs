// node explorer.mjs URL FOLDER QUESTION: runs the notebook's cell, asks the question in the panel, and takes two pictures.
import { createRequire } from 'node:module';
// Unlike `import`, `require` also looks in NODE_PATH.
const { chromium } = createRequire(import.meta.url)('playwright-core');

const [url, folder, question] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1300, height: 900 } });
  page.setDefaultTimeout(120000);
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  await page.locator('.jp-Notebook .jp-CodeCell').first().waitFor();
  await page.locator('.jp-Notebook .jp-CodeCell .jp-Editor').first().click();
  await page.keyboard.press('Shift+Enter');
  const panel = page.locator('.jp-OutputArea-output').filter({ has: page.locator('.widget-text input') });
  const map = panel.locator('img.widget-image');
  await map.waitFor();
  await page.waitForTimeout(1000);
  await page.screenshot({ path: `${folder}/before.png` });
  const before = await map.getAttribute('src');
  await panel.locator('.widget-text input').fill(question);
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
