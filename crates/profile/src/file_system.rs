//! Files from PEs: templates, file control parameters, fill patterns, paths and links.
//!
//! TCA profile package, 8.3 and Annex A; the file control parameters are those of TS 102 222
//! 6.3.2.2.

use crate::element::{Fcp, FileManagement, GenericFileManagement, ProfileElement, ProfileHeader};
use crate::files::{File, FileIndex, FileKind, MAX_DEPTH, MAX_FILE_MEMORY, MAX_FILES, ProfileFiles};
use crate::octets::{Fid, Octets};
use crate::package::Package;
use crate::response::{PeStatusCode, Refused};
use crate::template::Element;

mod by_template;
mod fcp;

use fcp::{access_rule_of, initial_content, kind_of, name_of, one_octet, sfi_of};

/// An error, without the PE in which it occurred.
pub(crate) type Wrong = (PeStatusCode, String);

pub(crate) fn wrong<T>(code: PeStatusCode, what: impl Into<String>) -> Result<T, Wrong> {
    Err((code, what.into()))
}

/// An error. A checker records it and continues, whereas an eUICC stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file or command of the PE.
    pub(crate) at: String,
    /// The error.
    pub(crate) wrong: Wrong,
}

/// Creates the files of a profile, PE by PE.
#[derive(Clone, Debug, Default)]
pub struct FileSystem {
    files: ProfileFiles,
    /// The errors so far, for a checker that continues after errors.
    faults: Option<Vec<Fault>>,
    /// The directory that owns the codes of the next PE: the first one that the last PE created, if
    /// any.
    context: Option<FileIndex>,
    /// The ADF that was created last, followed by the last ADF of each application.
    adf: Option<FileIndex>,
    usim: Option<FileIndex>,
    isim: Option<FileIndex>,
    csim: Option<FileIndex>,
    /// Values that an IoT package leaves to the profile header.
    iccid: Octets,
    pix: Option<Octets>,
}

impl FileSystem {
    /// Creates the files of a whole package.
    ///
    /// # Errors
    /// The first PE whose files cannot be created.
    pub fn build(package: &Package) -> Result<ProfileFiles, Refused> {
        let mut system = Self::default();
        for element in &package.elements {
            system.apply(element)?;
        }
        Ok(system.files)
    }

    /// Creates the files of one PE. Other PEs have no effect.
    ///
    /// # Errors
    /// The files cannot be created. Earlier files remain: the caller abandons the installation as a
    /// whole.
    pub fn apply(&mut self, element: &ProfileElement) -> Result<(), Refused> {
        let done = match element {
            ProfileElement::Header(header) => {
                self.note(header);
                Ok(())
            }
            ProfileElement::FileSystem(element) => self.by_template(element),
            ProfileElement::GenericFileManagement(element) => self.by_path(element),
            _ => Ok(()),
        };
        done.map_err(|(code, what)| Refused {
            code,
            identification: element.identification(),
            element: element.name(),
            what,
        })
    }

    /// Creates as many files as possible and records the errors.
    pub(crate) fn forgiving() -> Self {
        Self { faults: Some(Vec::new()), ..Self::default() }
    }

    /// The errors since the last call.
    pub(crate) fn take_faults(&mut self) -> Vec<Fault> {
        self.faults.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn refuse(&mut self, at: impl Into<String>, wrong: Wrong) -> Result<(), Wrong> {
        match &mut self.faults {
            Some(faults) => {
                faults.push(Fault { at: at.into(), wrong });
                Ok(())
            }
            None => Err(wrong),
        }
    }

    /// The files created so far.
    pub fn files(&self) -> &ProfileFiles {
        &self.files
    }

    /// The files.
    pub fn into_files(self) -> ProfileFiles {
        self.files
    }

    /// The directory that owns the PINs of the next PE.
    pub fn context(&self) -> Option<FileIndex> {
        self.context
    }

    /// The ADF that owns the authentication parameters of the next PE.
    pub fn adf(&self) -> Option<FileIndex> {
        self.adf
    }

    fn note(&mut self, header: &ProfileHeader) {
        self.iccid = header.iccid.clone();
        self.pix = header.iot_options.as_ref().map(|options| options.pix.clone());
    }

    fn by_path(&mut self, element: &GenericFileManagement) -> Result<(), Wrong> {
        let mut place = Place { directory: Some(FileIndex::MF), ..Place::default() };
        for (number, command) in (1..).zip(element.commands.iter().flatten()) {
            // After a recorded error the current directory is unknown, so the files that follow
            // cannot be created.
            let lost = match command {
                FileManagement::FilePath(_) => false,
                FileManagement::CreateFcp(_) => place.directory.is_none(),
                _ => place.lost,
            };
            if lost {
                continue;
            }
            if let Err(wrong) = self.command(&mut place, command) {
                self.refuse(name_of(number, command), wrong)?;
                place.current = None;
                place.lost = true;
                if matches!(command, FileManagement::FilePath(_)) {
                    place.directory = None;
                }
            }
        }
        if place.first.is_some() {
            self.context = place.first;
        }
        Ok(())
    }

    fn command(&mut self, place: &mut Place, command: &FileManagement) -> Result<(), Wrong> {
        match command {
            FileManagement::FilePath(path) => {
                let found = self.resolve(path)?;
                let file = self.files.file(found);
                if file.is_some_and(|file| file.kind.is_directory()) {
                    (place.directory, place.current) = (Some(found), None);
                } else {
                    place.directory = file.and_then(|file| file.parent).or(Some(FileIndex::MF));
                    place.current = Some(found);
                }
                (place.at, place.lost) = (0, false);
            }
            FileManagement::CreateFcp(fcp) => {
                let parent = place.directory.filter(|_| self.files.len() > 0);
                let made = self.create(parent, None, fcp)?;
                let kind = self.files.file(made).map(|file| file.kind.clone());
                if let Some(FileKind::Adf { .. }) = kind {
                    self.adf = Some(made);
                }
                if kind.is_some_and(|kind| kind.is_directory()) {
                    // As after CREATE FILE, the new directory becomes the current one.
                    (place.directory, place.current) = (Some(made), None);
                    place.first = place.first.or(Some(made));
                } else {
                    place.current = Some(made);
                }
                (place.at, place.lost) = (0, false);
            }
            FileManagement::FillFileOffset(offset) => place.at = moved(place.at, *offset)?,
            FileManagement::FillFileContent(content) => {
                let Some(file) = place.current else {
                    return wrong(
                        PeStatusCode::INVALID_REQUEST_FORMAT,
                        "contents before any file is created or selected",
                    );
                };
                place.at = self.write(file, place.at, content)?;
            }
        }
        Ok(())
    }

    /// The file at the end of a path in a package: from the MF, ADFs by their temporary
    /// identifiers.
    pub(crate) fn resolve(&self, path: &Octets) -> Result<FileIndex, Wrong> {
        let Some(fids) = Fid::path(path) else {
            return wrong(
                PeStatusCode::BAD_VALUES,
                format!("path {path} does not consist of whole file identifiers"),
            );
        };
        match self.files.by_path(&fids) {
            Some(index) => Ok(index),
            None => wrong(PeStatusCode::FILE_NOT_FOUND, format!("path {path} leads to no file")),
        }
    }

    fn create(
        &mut self,
        parent: Option<FileIndex>,
        row: Option<&Element>,
        fcp: &Fcp,
    ) -> Result<FileIndex, Wrong> {
        if self.files.len() >= MAX_FILES {
            return wrong(PeStatusCode::NOT_ENOUGH_MEMORY, format!("more than {MAX_FILES} files"));
        }
        let fid = match (fcp.file_id, row.map(|row| row.fid)) {
            (Some(fid), _) => fid,
            (None, Some(fid)) if fid != 0 => Fid(fid),
            _ => return wrong(PeStatusCode::BAD_VALUES, "the file identifier is missing"),
        };
        let (kind, descriptor) = kind_of(fid, row, fcp)?;
        let parent = match (&kind, parent) {
            (FileKind::Mf, None) => None,
            (FileKind::Mf, Some(_)) => {
                return wrong(PeStatusCode::FILE_ALREADY_EXISTS, "a second MF");
            }
            (_, None) => return wrong(PeStatusCode::INVALID_REQUEST_FORMAT, "a file before the MF"),
            (FileKind::Adf { .. }, Some(_)) => Some(FileIndex::MF),
            (_, Some(parent)) => Some(self.files.file(parent).and_then(|file| file.link).unwrap_or(parent)),
        };
        if parent.is_some_and(|parent| self.files.ancestors(parent).count() >= MAX_DEPTH) {
            return wrong(
                PeStatusCode::NOT_ENOUGH_MEMORY,
                format!("more than {MAX_DEPTH} nested directories"),
            );
        }
        if parent.is_some_and(|parent| self.files.child(parent, fid).is_some()) {
            return wrong(
                PeStatusCode::FILE_ALREADY_EXISTS,
                format!("the directory already contains a file {fid}"),
            );
        }
        let mut file = File {
            fid,
            name: row.map(|row| row.name.to_owned()),
            parent,
            sfi: sfi_of(fid, &kind, row, fcp)?,
            life_cycle: one_octet("lcsi", fcp.lcsi.as_ref(), 0x05)?,
            access_rule: access_rule_of(parent, &kind, row, fcp)?,
            descriptor,
            special_information: one_octet(
                "specialFileInformation",
                fcp.proprietary_ef_info.as_ref().and_then(|info| info.special_file_information.as_ref()),
                row.map_or(0, |row| if row.high_update { 0x80 } else { 0 }),
            )?,
            pin_status_template: fcp.pin_status_template_do.clone().unwrap_or_default(),
            kind,
            body: None,
            link: None,
        };
        match fcp.link_path.as_ref().filter(|path| !path.is_empty()) {
            Some(path) => self.link(&mut file, path, fcp)?,
            None if file.kind.is_directory() => {}
            None => {
                let content = initial_content(&file.kind, row, fcp)?;
                file.body = Some(self.new_body(&file.kind, content)?);
            }
        }
        Ok(self.files.make(file))
    }

    fn link(&self, file: &mut File, path: &Octets, fcp: &Fcp) -> Result<(), Wrong> {
        let target = self.resolve(path)?;
        let Some(real) = self.files.file(target) else {
            return wrong(PeStatusCode::FILE_NOT_FOUND, format!("path {path} leads to no file"));
        };
        if file.kind.is_directory() != real.kind.is_directory() || matches!(real.kind, FileKind::Mf) {
            return wrong(
                PeStatusCode::BAD_VALUES,
                format!(
                    "a {} cannot be a link to the {} at {path}",
                    file.kind.letters(),
                    real.kind.letters()
                ),
            );
        }
        if fcp.ef_file_size.is_some() {
            return wrong(PeStatusCode::BAD_VALUES, "a link has no size of its own");
        }
        if !real.kind.is_directory() {
            file.kind = real.kind.clone();
            file.descriptor = real.descriptor.clone();
        }
        file.body = real.body;
        file.link = Some(real.link.unwrap_or(target));
        Ok(())
    }

    fn new_body(&mut self, kind: &FileKind, content: Vec<u8>) -> Result<usize, Wrong> {
        if self.files.memory().saturating_add(kind.charged(content.len())) > MAX_FILE_MEMORY {
            return wrong(
                PeStatusCode::NOT_ENOUGH_MEMORY,
                format!("more than {MAX_FILE_MEMORY} octets in files"),
            );
        }
        Ok(self.files.make_content(content))
    }

    /// Writes at a position and returns the position after it.
    fn write(&mut self, index: FileIndex, at: usize, content: &[u8]) -> Result<usize, Wrong> {
        let end = at.saturating_add(content.len());
        let grows = match self.files.file(index).map(|file| &file.kind) {
            Some(kind @ FileKind::BerTlv { maximum_size, .. }) => {
                let before = self.files.content(index).map_or(0, <[u8]>::len);
                let more = kind.charged(end).saturating_sub(kind.charged(before));
                Some((usize::try_from(*maximum_size).unwrap_or(usize::MAX), more))
            }
            _ => None,
        };
        let memory = self.files.memory();
        let Some(body) = self.files.made_content(index) else {
            return wrong(PeStatusCode::BAD_VALUES, "a directory has no contents");
        };
        if let Some((maximum, more)) = grows
            && body.len() < end
        {
            if maximum != 0 && end > maximum || memory.saturating_add(more) > MAX_FILE_MEMORY {
                return wrong(
                    PeStatusCode::NOT_ENOUGH_MEMORY,
                    format!("{end} octets exceed the maximum size of the file"),
                );
            }
            body.resize(end, 0xFF);
        }
        let length = body.len();
        match body.get_mut(at..end) {
            Some(place) => place.copy_from_slice(content),
            None => {
                return wrong(
                    PeStatusCode::BAD_VALUES,
                    format!("contents up to octet {end} in a file of {length}"),
                );
            }
        }
        Ok(end)
    }
}

/// The state of the commands of a PE.
#[derive(Default)]
struct Place {
    /// `None` after a path to a missing file.
    directory: Option<FileIndex>,
    current: Option<FileIndex>,
    at: usize,
    /// The first directory that was created.
    first: Option<FileIndex>,
    /// True after an error, until another file is created or selected.
    lost: bool,
}

fn moved(at: usize, offset: i64) -> Result<usize, Wrong> {
    match u16::try_from(offset) {
        Ok(offset) => Ok(at.saturating_add(usize::from(offset))),
        Err(_) => wrong(PeStatusCode::BAD_VALUES, format!("fillFileOffset {offset} is not from 0 to 65535")),
    }
}

#[cfg(test)]
mod tests;
