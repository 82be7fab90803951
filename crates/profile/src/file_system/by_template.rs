//! Profile elements with a template, which creates their files.

use rsp::der::Unknown;

use super::{FileSystem, Wrong, moved, wrong};
use crate::element::{Fcp, FileItem, FileSystemElement, FileSystemKind};
use crate::files::FileIndex;
use crate::octets::Fid;
use crate::response::PeStatusCode;
use crate::template::{self, Element, Shape};

/// The RID of 3GPP, with which the AID of a USIM begins. The header of an IoT profile contains only
/// the rest of the AID (the PIX).
const IOT_RID: [u8; 5] = [0xA0, 0x00, 0x00, 0x00, 0x87];

/// The temporary identifier of an ADF that the package does not describe.
const IOT_ADF: Fid = Fid(0x7FF0);

impl FileSystem {
    pub(super) fn by_template(&mut self, element: &FileSystemElement) -> Result<(), Wrong> {
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
}

/// True for the directory that contains the other files of its template.
fn heads_its_template(kind: FileSystemKind, row: &Element) -> bool {
    template::elements(kind).first().is_some_and(|first| first.name == row.name)
}
