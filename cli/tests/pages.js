// Returns the defects of the page as a list of sentences. The width of the window and the minimum size of a text are in CSS
// pixels. `innerWidth` is not the width of the window of a phone, because a phone zooms out of a page that is too wide.
(windowWidth, smallestText) => {
  const defects = [];
  const report = (element, what) => defects.push(`<${element.tagName.toLowerCase()} class="${element.getAttribute('class') ?? ''}"> "${element.textContent.trim().slice(0, 40)}": ${what}`);
  document.querySelectorAll('details').forEach((details) => { details.open = true; });
  if (!document.documentElement.lang) defects.push('the page has no lang attribute');
  if (!document.title) defects.push('the page has no title');
  const width = document.documentElement.scrollWidth;
  if (width > windowWidth) {
    defects.push(`the page is ${width} pixels wide, wider than the window of ${windowWidth}`);
    const isWide = (element) => element.getBoundingClientRect().right > windowWidth && !element.closest('.wide');
    [...document.body.querySelectorAll('*')].filter(isWide).slice(0, 5).forEach((element) => report(element, 'is too wide'));
  }

  // Contrast of a text (WCAG 2.1, 1.4.3) with the background of its nearest ancestor that has one.
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = channels(getComputedStyle(e).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };

  for (const element of document.body.querySelectorAll('*')) {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (box.width === 0 || style.visibility === 'hidden') continue;
    const scrolls = /auto|scroll/.test(style.overflowX + style.overflowY) && (element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight);
    if (scrolls) {
      if (element.tabIndex !== 0) report(element, 'scrolls, and has no tabindex');
      if (!element.getAttribute('aria-label') && !element.getAttribute('aria-labelledby')) report(element, 'scrolls, and has no label');
    }
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (texts.length === 0 || ['STYLE', 'SCRIPT', 'TITLE', 'title'].includes(element.tagName)) continue;
    const size = parseFloat(style.fontSize);
    const isSvg = element instanceof SVGElement;
    if (isSvg) {
      const { a, b } = element.getScreenCTM();
      const shown = size * Math.hypot(a, b);
      if (shown < smallestText) report(element, `the text is ${shown.toFixed(1)} pixels high`);
      // A label of a chart must not end outside the window.
      if (box.right > windowWidth + 1 || box.left < -1) report(element, 'the label is cut off by the window');
    } else {
      const range = document.createRange();
      range.selectNodeContents(element);
      const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size;
      if (element.clientWidth > 0 && element.clientWidth < size * 1.8 && lines > 3) report(element, 'the text wraps letter by letter');
    }
    const colour = channels(isSvg ? style.fill : style.color);
    // Texts in bars have the colour of the bar behind them.
    if (!element.classList.contains('on') && colour.length === 3 && contrast(colour, ground(element)) < 4.5) report(element, `contrast ${contrast(colour, ground(element)).toFixed(2)}`);
  }

  // Labels of a time axis must not touch each other.
  for (const chart of document.querySelectorAll('.chart')) {
    const rows = new Map();
    for (const text of chart.querySelectorAll('.tick > text')) {
      const box = text.getBoundingClientRect();
      if (box.width > 0) rows.set(box.top, [...(rows.get(box.top) ?? []), [box, text]]);
    }
    for (const row of rows.values()) {
      row.sort(([a], [b]) => a.left - b.left);
      for (let i = 1; i < row.length; i += 1) if (row[i][0].left < row[i - 1][0].right) report(row[i][1], 'the label overlaps its neighbour');
    }
  }
  return defects;
}
