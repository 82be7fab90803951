//! Templates of ADF.CSIM: created by default, and optional.
//!
//! Identifiers and sizes are those of 3GPP2 C.S0065 (of EF.OTA, EF.CSSPR and EF.ATC as in TS.48).
//! The access rules and short identifiers of the TCA tables were not available: rule 5 and no short
//! identifier are used instead, so a package should set its own.

use super::{Element, Shape};

pub(super) const CSIM: &[Element] = &[
    Element::new("adf-csim", 0x0000, Shape::Adf, 14).mandatory(),
    Element::new("ef-arr", 0x6F06, Shape::LinearFixed { records: 0, length: 0 }, 5)
        .mandatory()
        .content_required(),
    Element::new("ef-call-count", 0x6F21, Shape::Cyclic { records: 1, length: 2 }, 5)
        .default("00")
        .mandatory(),
    Element::new("ef-imsi-m", 0x6F22, Shape::Transparent(10), 5).mandatory().content_required(),
    Element::new("ef-imsi-t", 0x6F23, Shape::Transparent(10), 5).mandatory().content_required(),
    Element::new("ef-tmsi", 0x6F24, Shape::Transparent(16), 5).mandatory().content_required().high_update(),
    Element::new("ef-ah", 0x6F25, Shape::Transparent(2), 5).mandatory().content_required(),
    Element::new("ef-aop", 0x6F26, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-aloc", 0x6F27, Shape::Transparent(7), 5).mandatory().content_required().high_update(),
    Element::new("ef-cdmahome", 0x6F28, Shape::LinearFixed { records: 0, length: 5 }, 5)
        .mandatory()
        .content_required(),
    Element::new("ef-znregi", 0x6F29, Shape::LinearFixed { records: 0, length: 8 }, 5)
        .mandatory()
        .content_required()
        .high_update(),
    Element::new("ef-snregi", 0x6F2A, Shape::Transparent(7), 5).mandatory().content_required().high_update(),
    Element::new("ef-distregi", 0x6F2B, Shape::Transparent(8), 5)
        .mandatory()
        .content_required()
        .high_update(),
    Element::new("ef-accolc", 0x6F2C, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-term", 0x6F2D, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-acp", 0x6F2F, Shape::Transparent(7), 5).mandatory().content_required(),
    Element::new("ef-prl", 0x6F30, Shape::Transparent(0), 5).mandatory().content_required(),
    Element::new("ef-ruimid", 0x6F31, Shape::Transparent(8), 5).mandatory().content_required(),
    Element::new("ef-csim-st", 0x6F32, Shape::Transparent(0), 5).mandatory().content_required(),
    Element::new("ef-spc", 0x6F33, Shape::Transparent(3), 5).mandatory().content_required(),
    Element::new("ef-otapaspc", 0x6F34, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-namlock", 0x6F35, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-ota", 0x6F36, Shape::Transparent(17), 5).mandatory().content_required(),
    Element::new("ef-sp", 0x6F37, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-esn-meid-me", 0x6F38, Shape::Transparent(8), 5).mandatory().content_required(),
    Element::new("ef-li", 0x6F3A, Shape::Transparent(0), 5).mandatory().content_required(),
    Element::new("ef-usgind", 0x6F42, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-ad", 0x6F43, Shape::Transparent(3), 5).mandatory().content_required(),
    Element::new("ef-max-prl", 0x6F45, Shape::Transparent(4), 5).mandatory().content_required(),
    Element::new("ef-spcs", 0x6F46, Shape::Transparent(1), 5).mandatory().content_required(),
    Element::new("ef-mecrp", 0x6F55, Shape::Transparent(3), 5).mandatory().content_required(),
    Element::new("ef-home-tag", 0x6F70, Shape::Transparent(0), 5).mandatory().content_required(),
    Element::new("ef-group-tag", 0x6F71, Shape::Transparent(0), 5).mandatory().content_required(),
    Element::new("ef-specific-tag", 0x6F72, Shape::Transparent(0), 5).mandatory().content_required(),
    Element::new("ef-call-prompt", 0x6F73, Shape::Transparent(0), 5).mandatory().content_required(),
];

pub(super) const OPT_CSIM: &[Element] = &[
    Element::new("ef-ssci", 0x6F2E, Shape::Transparent(1), 5),
    Element::new("ef-fdn", 0x6F3B, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-sms", 0x6F3C, Shape::LinearFixed { records: 0, length: 0 }, 5).default("00FF...FF"),
    Element::new("ef-smsp", 0x6F3D, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-smss", 0x6F3E, Shape::Transparent(5), 5).default("FF...FF"),
    Element::new("ef-ssfc", 0x6F3F, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-spn", 0x6F41, Shape::Transparent(35), 5).content_required(),
    Element::new("ef-mdn", 0x6F44, Shape::LinearFixed { records: 0, length: 11 }, 5).content_required(),
    Element::new("ef-ecc", 0x6F47, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-me3gpdopc", 0x6F48, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-3gpdopm", 0x6F49, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-sipcap", 0x6F4A, Shape::Transparent(4), 5).content_required(),
    Element::new("ef-mipcap", 0x6F4B, Shape::Transparent(5), 5).content_required(),
    Element::new("ef-sipupp", 0x6F4C, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-mipupp", 0x6F4D, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-sipsp", 0x6F4E, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-mipsp", 0x6F4F, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-sippapss", 0x6F50, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-puzl", 0x6F53, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-maxpuzl", 0x6F54, Shape::Transparent(5), 5).content_required(),
    Element::new("ef-hrpdcap", 0x6F56, Shape::Transparent(3), 5).content_required(),
    Element::new("ef-hrpdupp", 0x6F57, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-csspr", 0x6F58, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-atc", 0x6F59, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-eprl", 0x6F5A, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-bcsmscfg", 0x6F5B, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-bcsmspref", 0x6F5C, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-bcsmstable", 0x6F5D, Shape::LinearFixed { records: 0, length: 0 }, 5).content_required(),
    Element::new("ef-bcsmsp", 0x6F5E, Shape::LinearFixed { records: 0, length: 2 }, 5).content_required(),
    Element::new("ef-bakpara", 0x6F63, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-upbakpara", 0x6F64, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-mmsn", 0x6F65, Shape::LinearFixed { records: 0, length: 0 }, 5).content_required(),
    Element::new("ef-ext8", 0x6F66, Shape::LinearFixed { records: 0, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-mmsicp", 0x6F67, Shape::Transparent(0), 5).default("FF...FF"),
    Element::new("ef-mmsup", 0x6F68, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-mmsucp", 0x6F69, Shape::Transparent(0), 5).default("FF...FF"),
    Element::new("ef-auth-capability", 0x6F6A, Shape::Transparent(5), 5).content_required(),
    Element::new("ef-3gcik", 0x6F6B, Shape::Transparent(32), 5).content_required(),
    Element::new("ef-dck", 0x6F6C, Shape::Transparent(20), 5).content_required(),
    Element::new("ef-gid1", 0x6F6D, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-gid2", 0x6F6E, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-cdmacnl", 0x6F6F, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-sf-euimid", 0x6F74, Shape::Transparent(7), 5).content_required(),
    Element::new("ef-est", 0x6F75, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-hidden-key", 0x6F76, Shape::Transparent(4), 5).default("FF...FF"),
    Element::new("ef-lcsver", 0x6F77, Shape::Transparent(2), 5).content_required(),
    Element::new("ef-lcscp", 0x6F78, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-sdn", 0x6F79, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-ext2", 0x6F7A, Shape::LinearFixed { records: 0, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-ext3", 0x6F7B, Shape::LinearFixed { records: 0, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-ici", 0x6F7C, Shape::Cyclic { records: 0, length: 0 }, 5).content_required(),
    Element::new("ef-oci", 0x6F7D, Shape::Cyclic { records: 0, length: 0 }, 5).content_required(),
    Element::new("ef-ext5", 0x6F7E, Shape::LinearFixed { records: 0, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-ccp2", 0x6F7F, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-applabels", 0x6F80, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-model", 0x6F81, Shape::Transparent(126), 5).default("FF...FF"),
    Element::new("ef-rc", 0x6F82, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-smscap", 0x6F83, Shape::Transparent(4), 5).content_required(),
    Element::new("ef-mipflags", 0x6F84, Shape::Transparent(1), 5).content_required(),
    Element::new("ef-3gpduppext", 0x6F85, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-ipv6cap", 0x6F87, Shape::Transparent(21), 5).content_required(),
    Element::new("ef-tcpconfig", 0x6F88, Shape::Transparent(2), 5).content_required(),
    Element::new("ef-dgc", 0x6F89, Shape::Transparent(3), 5).content_required(),
    Element::new("ef-wapbrowsercp", 0x6F8A, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-wapbrowserbm", 0x6F8B, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-mmsconfig", 0x6F8C, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-jdl", 0x6F8D, Shape::Transparent(0), 5).content_required(),
];
