//! The tables in docs/airtime.md.

use std::path::Path;

use fleet::bearers::Bearers;

use crate::wire::Count;

/// The columns of the air time, with their bearers in fleet/data/bearers.toml.
const AIR_TIME: [(&str, &str); 3] =
    [("good, s", "nb-iot"), ("normal, s", "nb-iot-normal"), ("poor, s", "nb-iot-poor")];
/// True if a measured figure differs little from the committed one. Signatures and dates have different
/// lengths, and on a busy machine CoAP repeats messages.
fn is_near(committed: f64, measured: f64) -> bool {
    let most = if committed < 100.0 { (committed * 0.1).max(1.0) } else { (committed * 0.05).max(100.0) };
    (committed - measured).abs() <= most
}

/// A table of figures, with the air time in its last columns.
pub(crate) struct Table {
    columns: Vec<String>,
    rows: String,
    bearers: Bearers,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let all = columns.iter().copied().chain(AIR_TIME.map(|(column, _)| column));
        let columns = all.map(str::to_owned).collect();
        Self { columns, rows: String::new(), bearers: Bearers::built_in().unwrap() }
    }

    /// Adds a row with these figures and the air time of these octets.
    pub(crate) fn row(&mut self, name: &str, figures: &[u64], count: Count) {
        let mut cells: Vec<String> = figures.iter().map(|&figure| grouped(figure)).collect();
        cells.extend(AIR_TIME.map(|(_, bearer)| {
            let packets = self.bearers.named(bearer).unwrap().packets.unwrap();
            let seconds = (packets.up(count.up) + packets.down(count.down)).as_secs_f64();
            if seconds < 10.0 { format!("{seconds:.1}") } else { grouped(seconds.round() as u64) }
        }));
        assert_eq!(cells.len() + 1, self.columns.len());
        self.rows.push_str(&format!("\n| {name} | {} |", cells.join(" | ")));
    }

    fn text(&self) -> String {
        let rule = "--:|".repeat(self.columns.len() - 1);
        format!("| {} |\n|---|{rule}{}\n", self.columns.join(" | "), self.rows)
    }
}

/// Writes a number with commas between thousands.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

/// Compares a table with that of the page, or writes it.
pub(crate) fn compare(name: &str, table: &Table) {
    let measured = table.text();
    println!("{measured}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/airtime.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (committed, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, format!("{before}{begin}\n{measured}\n{end}{after}")).unwrap();
        return;
    }
    let next =
        "LANDFALL_REGENERATE=1 cargo test -p cli --test airtime -- --test-threads 1 writes the figures";
    let cells = |text: &str| -> Vec<String> { text.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let (committed, measured) = (cells(committed), cells(&measured));
    assert_eq!(committed.len(), measured.len(), "{next}");
    for (committed, measured) in committed.iter().zip(&measured) {
        let number = |text: &str| text.replace(',', "").parse::<f64>();
        let is_same = match (number(committed), number(measured)) {
            (Ok(committed), Ok(measured)) => is_near(committed, measured),
            _ => committed == measured,
        };
        assert!(is_same, "{name}: {committed} in the page, {measured} measured; {next}");
    }
}
