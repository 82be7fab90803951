//! `landfall profile personalise`: creates many packages from one description.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use profile::personalise::{
    COLUMNS, Made, Personalised, Row, SecretSource, Series, TransportKey, personalise, taken_from_template,
};
use profile::{Description, Mistakes, check::check};
use world::Fault;

use super::{make, make::described, rows};
use crate::{
    files::read_text,
    output::{print, print_json},
    parties,
    progress::Progress,
};

/// Create many packages from one description
#[derive(Debug, Args)]
pub struct Personalise {
    /// Description (TOML) shared by all packages
    template: PathBuf,
    /// CSV file with one row per profile; columns: iccid, imsi, msisdn, ki, opc, pin1, puk1,
    /// pin2, puk2, adm1 (all optional)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "iccid", "imsi", "msisdn"])]
    rows: Option<PathBuf>,
    /// Number of packages, with consecutive numbers from --iccid and --imsi
    #[arg(long, requires = "iccid", requires = "imsi", required_unless_present = "rows")]
    count: Option<u64>,
    /// First ICCID, without its check digit
    #[arg(long, value_name = "DIGITS")]
    iccid: Option<String>,
    /// First IMSI
    #[arg(long, value_name = "DIGITS")]
    imsi: Option<String>,
    /// First MSISDN
    #[arg(long, value_name = "DIGITS")]
    msisdn: Option<String>,
    /// New folder for the packages, named ICCID.der
    #[arg(long, value_name = "FOLDER", required_unless_present = "stream")]
    out: Option<PathBuf>,
    /// New file for all packages, concatenated
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    stream: Option<PathBuf>,
    /// New CSV file for the operator: identities, keys, codes
    #[arg(long, value_name = "FILE")]
    records: PathBuf,
    /// File with 32 or 64 hex digits: key that wraps the keys in the records (AES-KW, RFC 3394)
    #[arg(long, value_name = "FILE")]
    transport_key: Option<PathBuf>,
    /// Seed text from which keys and codes are derived, for repeatable results [default: the
    /// system's random generator]
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,
    /// Use the K and OPc of the template in all packages, as test networks often do
    #[arg(long)]
    same_keys: bool,
    /// Continue an interrupted run; packages with a row in the records are complete
    #[arg(long, conflicts_with = "stream")]
    resume: bool,
}

impl Personalise {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read, an output file exists, or a row does not describe a profile.
    pub fn run(&self, json: bool) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let (template, text) = described(&self.template)?;
        let secrets = match &self.seed {
            Some(seed) => SecretSource::from_text(seed),
            None => SecretSource::new(world.random()),
        };
        let transport = self.transport_key.as_deref().map(transport_key).transpose()?;
        self.check_first(&template, &text, &secrets)?;
        let mut records = Records::open(&self.records, self.resume)?;
        let mut packages = Packages::open(self)?;
        let start = world.now();
        let elapsed =
            || std::time::Duration::from_millis(u64::try_from(world.now().0 - start.0).unwrap_or_default());
        let mut made = Made::default();
        let done = records.rows;
        let all = self.rows()?.count();
        let shown = Progress::transient("packages", all, json);
        for (number, row) in (0..).zip(self.rows()?) {
            let row = row?;
            if number < done {
                continue;
            }
            let one = personalise(&template, &row, &secrets).map_err(|mistakes| {
                cannot_create(number + 1, &row, mistakes.in_text(&text), self.how_to_continue())
            })?;
            let octets = one.package.encode();
            // The package is written first, so that every row in the records has a
            // package.
            packages.take(&one, &octets)?;
            records.take(&one, transport.as_ref())?;
            made.packages += 1;
            made.octets += octets.len() as u64;
            if made.packages.is_multiple_of(1000) {
                records.flush()?;
            }
            shown.set(usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1));
        }
        drop(shown);
        packages.flush()?;
        records.flush()?;
        match json {
            true => print_json(&made),
            false => print(&format!("{}\n", summary(&made, elapsed()))),
        }
    }

    /// Advice on how to continue after an error. A stream cannot be continued.
    fn how_to_continue(&self) -> &'static str {
        match self.stream {
            Some(_) => "remove the stream and the records file, and start again",
            None => "the packages before it are complete; continue with --resume",
        }
    }

    /// Reports the problems of all rows, and those of the first package, before anything is
    /// written. The other packages would have the same problems as the first package.
    fn check_first(&self, template: &Description, text: &str, secrets: &SecretSource) -> Result<(), Fault> {
        match (&self.rows, self.count) {
            (Some(file), _) => rows::check_rows(file, template, self.same_keys)?,
            (None, Some(2..)) => {
                let first = self.rows()?.next().transpose()?.unwrap_or_default();
                let taken = taken_from_template(template, &first);
                let taken = taken.into_iter().map(|name| (name, self.count.unwrap_or_default()));
                rows::check_unique(taken, self.same_keys)?;
            }
            _ => {}
        }
        let Some(row) = self.rows()?.next().transpose()? else { return Ok(()) };
        let nothing = "no package was created";
        let one = personalise(template, &row, secrets)
            .map_err(|mistakes| cannot_create(1, &row, mistakes.in_text(text), nothing))?;
        let mut findings = check(&one.package);
        // `check_rows` has already reported the wrong check digits of all rows.
        findings.retain(|finding| self.rows.is_none() || finding.rule != "iccid-check-digit");
        match make::print_findings(&findings) {
            true => Err(Fault::usage(
                "cannot create these profiles",
                "the first package would have errors, and probably all others; no package was created",
                "correct the errors shown above in the template",
            )),
            false => Ok(()),
        }
    }

    fn rows(&self) -> Result<Box<dyn Iterator<Item = Result<Row, Fault>>>, Fault> {
        if let Some(file) = &self.rows {
            let rows = rows::of(file)?.map(|row| row.map(|(_, row)| row));
            return Ok(Box::new(rows));
        }
        let (Some(count), Some(iccid), Some(imsi)) = (self.count, self.iccid.clone(), self.imsi.clone())
        else {
            return Err(Fault::usage(
                "there is nothing to create",
                "no rows were given",
                "give --rows, or --count, --iccid and --imsi",
            ));
        };
        let series = Series { iccid, imsi, msisdn: self.msisdn.clone() };
        let row = move |number| {
            let invalid = |mistakes: Mistakes| {
                Fault::usage(
                    "cannot generate consecutive numbers",
                    mistakes.to_string(),
                    "correct --iccid, --imsi or --msisdn",
                )
            };
            series.row(number).map_err(invalid)
        };
        // The last row is built first, so that a number that becomes too long is reported before
        // any package is created.
        row(count.saturating_sub(1))?;
        Ok(Box::new((0..count).map(row)))
    }
}

fn cannot_create(number: u64, row: &Row, mistakes: Mistakes, next: &str) -> Fault {
    let iccid = row.iccid.map(|iccid| iccid.to_string()).unwrap_or_default();
    let what = format!("cannot create profile {number} ({iccid})");
    Fault::usage(what, mistakes.to_string(), format!("correct the template or the row; {next}"))
}

fn summary(made: &Made, took: std::time::Duration) -> String {
    let Made { packages, octets } = made;
    let rate = u128::from(*packages) * 1000 / took.as_millis().max(1);
    let memory = peak_memory().map_or_else(String::new, |kib| format!(", peak memory {} MiB", kib / 1024));
    format!("{packages} packages, {octets} octets, {rate} per second{memory}")
}

/// Peak memory of this process in KiB, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn transport_key(file: &Path) -> Result<TransportKey, Fault> {
    let octets = hex::decode(read_text(file)?.trim()).ok();
    octets.and_then(|octets| TransportKey::new(&octets)).ok_or_else(|| {
        Fault::usage(
            format!("{} is not a transport key", file.display()),
            "AES Key Wrap needs 16 or 32 octets",
            "write 32 or 64 hex digits into the file",
        )
    })
}

fn new_file(file: &Path) -> Result<File, Fault> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(|e| {
        let next = "choose a path that does not exist yet; no file is overwritten";
        Fault::usage_caused_by(e, format!("cannot create {}", file.display()), next)
    })
}

fn unwritten(file: &Path) -> impl Fn(std::io::Error) -> Fault {
    let what = format!("cannot write {}", file.display());
    let next = "free some disk space; then continue a folder with --resume, or start a stream again";
    move |e| Fault::usage_caused_by(e, what.clone(), next)
}

/// The records file for the operator.
struct Records {
    writer: csv::Writer<File>,
    file: PathBuf,
    /// Number of rows of an earlier run.
    rows: u64,
}

impl Records {
    fn open(file: &Path, resume: bool) -> Result<Self, Fault> {
        let failed = unwritten(file);
        let mut rows = 0;
        let out = if resume && file.exists() {
            let mut out = OpenOptions::new().read(true).append(true).open(file).map_err(&failed)?;
            let mut text = String::new();
            out.read_to_string(&mut text).map_err(&failed)?;
            // The interrupted run may have left an incomplete last row, which is
            // discarded.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            out.set_len(whole as u64).map_err(&failed)?;
            rows = text.get(..whole).map_or(0, |text| text.lines().count() as u64);
            out
        } else {
            new_file(file)?
        };
        let mut records = Self { writer: csv::Writer::from_writer(out), file: file.to_owned(), rows };
        if rows == 0 {
            records.write(COLUMNS.iter().copied())?;
        } else {
            records.rows -= 1;
        }
        Ok(records)
    }

    fn take(&mut self, one: &Personalised, transport: Option<&TransportKey>) -> Result<(), Fault> {
        self.write(one.output(transport).iter().map(|cell| cell.as_str()))
    }

    fn write<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
        self.writer.write_record(cells).map_err(|e| unwritten(&self.file)(e.into()))
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.writer.flush().map_err(unwritten(&self.file))
    }
}

/// Destination of the packages: a folder (with `true` if an earlier run is resumed) or a stream.
enum Packages {
    Folder(PathBuf, bool),
    Stream(BufWriter<File>, PathBuf),
}

impl Packages {
    fn open(command: &Personalise) -> Result<Self, Fault> {
        match (&command.out, &command.stream) {
            (_, Some(file)) => Ok(Self::Stream(BufWriter::new(new_file(file)?), file.clone())),
            (Some(folder), None) => {
                if !(command.resume && folder.is_dir()) {
                    fs::create_dir(folder).map_err(|e| {
                        let next = "choose a folder that does not exist yet, or add --resume";
                        Fault::usage_caused_by(
                            e,
                            format!("cannot create the folder {}", folder.display()),
                            next,
                        )
                    })?;
                }
                Ok(Self::Folder(folder.clone(), command.resume))
            }
            (None, None) => Err(Fault::usage(
                "there is no destination",
                "neither --out nor --stream was given",
                "add one of them",
            )),
        }
    }

    fn take(&mut self, one: &Personalised, octets: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Stream(out, file) => out.write_all(octets).map_err(unwritten(file)),
            Self::Folder(folder, resumed) => {
                let name = one.description.iccid.map(|iccid| format!("{iccid}.der")).unwrap_or_default();
                let file = folder.join(name);
                // A package that an interrupted run wrote without its row in the
                // records is created again.
                let mut out = match *resumed && file.exists() {
                    true => File::create(&file).map_err(unwritten(&file))?,
                    false => new_file(&file)?,
                };
                out.write_all(octets).map_err(unwritten(&file))
            }
        }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        match self {
            Self::Stream(out, file) => out.flush().map_err(unwritten(file)),
            Self::Folder(..) => Ok(()),
        }
    }
}
