//! File, Fcp and PE-GenericFileManagement.

use rsp::der::Null;
use serde::Serialize;

use super::PeHeader;
use crate::macros::{alternatives_from_json, fields};
use crate::octets::{Fid, Octets};

fields! {
    /// ProprietaryInfo: the contents of tag A5 of an EF in TS 102 222.
    #[derive(Default)]
    pub struct ProprietaryInfo = 0x30 {
        "specialFileInformation"
        /// DEFAULT 00; bit 8: updated often, bit 7: readable and updatable while deactivated.
        special_file_information: Option<Octets> = 0xC0,
        "fillPattern"
        /// The fill pattern: used once, with its last byte repeated to the end.
        fill_pattern: Option<Octets> = 0xC1,
        "repeatPattern"
        /// The repeat pattern: used repeatedly.
        repeat_pattern: Option<Octets> = 0xC2,
        "maximumFileSize"
        /// BER-TLV files only.
        maximum_file_size: Option<Octets> = 0x86,
        "fileDetails"
        /// DEFAULT 01.
        file_details: Option<Octets> = 0x84,
    }
}

fields! {
    /// Fcp: the file control parameters with which a file is created.
    #[derive(Default)]
    pub struct Fcp = 0x62 {
        "fileDescriptor"
        /// File descriptor byte, data coding byte, and the record length of a file with records.
        file_descriptor: Option<Octets> = 0x82,
        "fileID"
        /// For an ADF: the temporary identifier that paths in this package use.
        file_id: Option<Fid> = 0x83,
        "dfName" df_name: Option<Octets> = 0x84,
        "lcsi"
        /// DEFAULT 05, activated.
        lcsi: Option<Octets> = 0x8A,
        "securityAttributesReferenced"
        /// EF.ARR and record number, or the record number alone.
        security_attributes_referenced: Option<Octets> = 0x8B,
        "efFileSize" ef_file_size: Option<Octets> = 0x80,
        "pinStatusTemplateDO" pin_status_template_do: Option<Octets> = 0xC6,
        "shortEFID"
        /// The short identifier in the five high bits. If it is empty, the file has none. If it is
        /// absent, the file has the one of the template or the one that follows from its file
        /// identifier.
        short_ef_id: Option<Octets> = 0x88,
        "proprietaryEFInfo" proprietary_ef_info: Option<ProprietaryInfo> = 0xA5,
        "linkPath"
        /// The file that this file is a link to.
        link_path: Option<Octets> = 0xC7,
    }
}

rsp::choice! {
    /// A step in creating a file by template.
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
    pub enum FileItem = 0 {
        /// The file is not created.
        #[serde(rename = "doNotCreate")]
        DoNotCreate(Null) = 0x80,
        /// Deviations from the template.
        #[serde(rename = "fileDescriptor")]
        FileDescriptor(Box<Fcp>) = 0xA1,
        /// Number of bytes to skip.
        #[serde(rename = "fillFileOffset")]
        FillFileOffset(i64) = 0x82,
        /// Bytes to write next.
        #[serde(rename = "fillFileContent")]
        FillFileContent(Octets) = 0x83,
    }
}

rsp::choice! {
    /// A step in creating files by path.
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
    pub enum FileManagement = 0 {
        /// The directory or file to select, from the MF.
        #[serde(rename = "filePath")]
        FilePath(Octets) = 0x80,
        /// The file to create.
        #[serde(rename = "createFCP")]
        CreateFcp(Box<Fcp>) = 0x62,
        /// Number of bytes to skip.
        #[serde(rename = "fillFileOffset")]
        FillFileOffset(i64) = 0x02,
        /// Bytes to write next.
        #[serde(rename = "fillFileContent")]
        FillFileContent(Octets) = 0x81,
    }
}

fields! {
    /// PE-GenericFileManagement.
    pub struct GenericFileManagement = 0xA1 {
        "gfm-header" header: PeHeader = 0xA0,
        "fileManagementCMD" commands: Vec<Vec<FileManagement>> = 0xA1,
    }
}

alternatives_from_json!(FileItem { "doNotCreate" DoNotCreate, "fileDescriptor" FileDescriptor, "fillFileOffset" FillFileOffset, "fillFileContent" FillFileContent });
alternatives_from_json!(FileManagement { "filePath" FilePath, "createFCP" CreateFcp, "fillFileOffset" FillFileOffset, "fillFileContent" FillFileContent });
