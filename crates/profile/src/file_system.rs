//! Files from PEs: templates, file control parameters, fill patterns, paths and links.
//!
//! TCA profile package, 8.3 and Annex A; the file control parameters are those of TS 102 222
//! 6.3.2.2.

use rsp::der::Unknown;

use crate::element::{
    Fcp, FileItem, FileManagement, FileSystemElement, FileSystemKind, GenericFileManagement, ProfileElement,
    ProfileHeader,
};
use crate::files::{File, FileIndex, FileKind, MAX_DEPTH, MAX_FILE_MEMORY, MAX_FILES, ProfileFiles};
use crate::octets::{Fid, Octets};
use crate::package::Package;
use crate::response::{PeStatusCode, Refused};
use crate::template::{self, Element, Shape};

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

    fn by_template(&mut self, element: &FileSystemElement) -> Result<(), Wrong> {
        let kind = element.kind;
        let (number, newest) = template::number(kind);
        let version = match element.template_id.as_template() {
            Some((found, version)) if found == number && version <= newest => version,
            _ => {
                return wrong(
                    PeStatusCode::TEMPLATE_NOT_SUPPORTED,
                    format!("template {} is unknown", element.template_id),
                );
            }
        };
        if element.unknown != Unknown::default() {
            return wrong(
                PeStatusCode::INVALID_PARAMETER,
                "the PE names files that the template does not have",
            );
        }
        let mut base = self.base_of(kind)?;
        let mut directory = base;
        let mut homeless = false;
        let mut first = None;
        for row in template::elements(kind) {
            let named = element.file(row.name);
            let Some(row) = row.at(version) else {
                if named.is_some() {
                    let what = format!("only a later version of the template has {}", row.name);
                    self.refuse(row.name, (PeStatusCode::INVALID_PARAMETER, what))?;
                }
                continue;
            };
            if matches!(row.shape, Shape::Df) {
                directory = base;
            }
            let parent = match row.shape {
                Shape::Mf => None,
                Shape::Adf => Some(FileIndex::MF),
                _ => directory,
            };
            if parent.is_none() && homeless {
                // The error of the parent directory has been recorded.
                continue;
            }
            let made = match self.one_of(kind, parent, &row, named) {
                Ok(made) => made,
                Err(wrong) => {
                    self.refuse(row.name, wrong)?;
                    homeless = homeless || matches!(row.shape, Shape::Mf | Shape::Adf | Shape::Df);
                    None
                }
            };
            if matches!(row.shape, Shape::Mf | Shape::Adf | Shape::Df) {
                // A file cannot be created without its parent directory.
                directory = made;
                first = first.or(made);
                if base.is_none()
                    || matches!(row.shape, Shape::Adf | Shape::Mf)
                    || heads_its_template(kind, &row)
                {
                    base = made;
                }
            }
            if let (Shape::Adf, Some(adf)) = (row.shape, made) {
                self.note_adf(kind, adf);
            }
        }
        if first.is_some() {
            self.context = first;
        }
        Ok(())
    }

    fn one_of(
        &mut self,
        kind: FileSystemKind,
        parent: Option<FileIndex>,
        row: &Element,
        named: Option<&[FileItem]>,
    ) -> Result<Option<FileIndex>, Wrong> {
        let Some(items) = self.items_of(kind, row, named)? else { return Ok(None) };
        self.one_by_template(parent, row, &items)
            .map_err(|(code, what)| (code, format!("{}: {what}", row.name)))
    }

    /// The directory in which a template starts.
    fn base_of(&self, kind: FileSystemKind) -> Result<Option<FileIndex>, Wrong> {
        use FileSystemKind as K;
        let base = match kind {
            K::Mf | K::Iot => return Ok(None),
            K::Cd | K::Telecom | K::Usim | K::Isim | K::Csim => {
                self.files.file(FileIndex::MF).map(|_| FileIndex::MF)
            }
            K::OptUsim
            | K::Phonebook
            | K::GsmAccess
            | K::Df5gs
            | K::DfSaip
            | K::DfSnpn
            | K::Df5gprose
            | K::OptIot => self.usim,
            K::OptIsim => self.isim,
            K::OptCsim => self.csim,
            K::Eap => self.adf,
        };
        match base {
            Some(base) => Ok(Some(base)),
            None => {
                wrong(PeStatusCode::INVALID_REQUEST_FORMAT, "the directory of the files does not exist yet")
            }
        }
    }

    fn note_adf(&mut self, kind: FileSystemKind, adf: FileIndex) {
        self.adf = Some(adf);
        match kind {
            FileSystemKind::Usim | FileSystemKind::Iot => self.usim = Some(adf),
            FileSystemKind::Isim => self.isim = Some(adf),
            FileSystemKind::Csim => self.csim = Some(adf),
            _ => {}
        }
    }

    /// The steps that create a file of a template; nothing if it must not be created.
    fn items_of(
        &self,
        kind: FileSystemKind,
        row: &Element,
        named: Option<&[FileItem]>,
    ) -> Result<Option<Vec<FileItem>>, Wrong> {
        let by_default = template::created_by_default(kind);
        if let Some(items) = named {
            let refused = items.iter().any(|item| matches!(item, FileItem::DoNotCreate(_)));
            return match (refused, kind) {
                (false, _) => Ok(Some(items.to_vec())),
                // doNotCreate has no effect in the MF.
                (true, FileSystemKind::Mf) => Ok(Some(items.to_vec())),
                (true, _) if by_default => Ok(None),
                (true, _) => wrong(
                    PeStatusCode::BAD_VALUES,
                    format!(
                        "{}: this template creates only listed files, so doNotCreate is not permitted",
                        row.name
                    ),
                ),
            };
        }
        if row.mandatory {
            return wrong(PeStatusCode::INVALID_PARAMETER, format!("{} is missing", row.name));
        }
        if !by_default {
            return Ok(None);
        }
        if kind == FileSystemKind::Iot {
            return Ok(self.items_of_iot(row));
        }
        Ok((!row.content_required).then(Vec::new))
    }

    /// The profile header's values for the files that an IoT package leaves out.
    fn items_of_iot(&self, row: &Element) -> Option<Vec<FileItem>> {
        match (row.name, &self.pix) {
            ("mf", _) => Some(Vec::new()),
            ("ef-iccid", _) => {
                let swapped: Vec<u8> = self.iccid.iter().map(|octet| octet.rotate_left(4)).collect();
                Some(vec![FileItem::FillFileContent(swapped.into())])
            }
            ("adf-usim", Some(pix)) => {
                let aid = [&IOT_RID[..], pix].concat();
                let fcp = Fcp { file_id: Some(IOT_ADF), df_name: Some(aid.into()), ..Fcp::default() };
                Some(vec![FileItem::FileDescriptor(Box::new(fcp))])
            }
            _ => (!row.content_required).then(Vec::new),
        }
    }

    fn one_by_template(
        &mut self,
        parent: Option<FileIndex>,
        row: &Element,
        items: &[FileItem],
    ) -> Result<Option<FileIndex>, Wrong> {
        if parent.is_none() && row.shape != Shape::Mf {
            return wrong(PeStatusCode::INVALID_PARAMETER, "the directory of the file is not created");
        }
        let mut descriptors = items.iter().filter_map(|item| match item {
            FileItem::FileDescriptor(fcp) => Some(fcp.as_ref()),
            _ => None,
        });
        let fcp = descriptors.next().cloned().unwrap_or_default();
        if descriptors.next().is_some() {
            return wrong(PeStatusCode::BAD_VALUES, "two file descriptors");
        }
        let index = self.create(parent, Some(row), &fcp)?;
        let mut at = 0;
        for item in items {
            match item {
                FileItem::FillFileOffset(offset) => at = moved(at, *offset)?,
                FileItem::FillFileContent(content) => at = self.write(index, at, content)?,
                FileItem::DoNotCreate(_) | FileItem::FileDescriptor(_) => {}
            }
        }
        Ok(Some(index))
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

/// The RID of 3GPP, with which the AID of a USIM begins. The header of an IoT profile contains only
/// the rest of the AID (the PIX).
const IOT_RID: [u8; 5] = [0xA0, 0x00, 0x00, 0x00, 0x87];

/// The temporary identifier of an ADF that the package does not describe.
const IOT_ADF: Fid = Fid(0x7FF0);

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

/// True for the directory that contains the other files of its template.
fn heads_its_template(kind: FileSystemKind, row: &Element) -> bool {
    template::elements(kind).first().is_some_and(|first| first.name == row.name)
}

fn moved(at: usize, offset: i64) -> Result<usize, Wrong> {
    match u16::try_from(offset) {
        Ok(offset) => Ok(at.saturating_add(usize::from(offset))),
        Err(_) => wrong(PeStatusCode::BAD_VALUES, format!("fillFileOffset {offset} is not from 0 to 65535")),
    }
}

#[cfg(test)]
mod tests;
