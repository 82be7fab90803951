//! Templates of ADF.ISIM: created by default, and optional.

use super::{Element, Shape};

pub(super) const ISIM: &[Element] = &[
    Element::new("adf-isim", 0x0000, Shape::Adf, 14).mandatory(),
    Element::new("ef-impi", 0x6F02, Shape::Transparent(0), 2).sfi(0x02).mandatory().content_required(),
    Element::new("ef-impu", 0x6F04, Shape::LinearFixed { records: 1, length: 0 }, 2)
        .sfi(0x04)
        .mandatory()
        .content_required(),
    Element::new("ef-domain", 0x6F03, Shape::Transparent(0), 2).sfi(0x05).mandatory().content_required(),
    Element::new("ef-ist", 0x6F07, Shape::Transparent(14), 2).sfi(0x07).mandatory().content_required(),
    Element::new("ef-ad", 0x6FAD, Shape::Transparent(3), 10).sfi(0x03).default("000000"),
    Element::new("ef-arr", 0x6F06, Shape::LinearFixed { records: 0, length: 0 }, 10)
        .sfi(0x06)
        .mandatory()
        .content_required(),
];

pub(super) const OPT_ISIM: &[Element] = &[
    Element::new("ef-pcscf", 0x6F09, Shape::LinearFixed { records: 1, length: 0 }, 2).content_required(),
    Element::new("ef-sms", 0x6F3C, Shape::LinearFixed { records: 10, length: 176 }, 5).default("00FF...FF"),
    Element::new("ef-smsp", 0x6F42, Shape::LinearFixed { records: 1, length: 38 }, 5).default("FF...FF"),
    Element::new("ef-smss", 0x6F43, Shape::Transparent(2), 5).default("FFFF"),
    Element::new("ef-smsr", 0x6F47, Shape::LinearFixed { records: 10, length: 30 }, 5).default("00FF...FF"),
    Element::new("ef-gbabp", 0x6FD5, Shape::Transparent(0), 5).default("FF...FF"),
    Element::new("ef-gbanl", 0x6FD7, Shape::LinearFixed { records: 0, length: 0 }, 2).default("FF...FF"),
    Element::new("ef-nafkca", 0x6FDD, Shape::LinearFixed { records: 0, length: 0 }, 2).default("FF...FF"),
    Element::new("ef-uicciari", 0x6FE7, Shape::LinearFixed { records: 0, length: 0 }, 2).content_required(),
    Element::new("ef-frompreferred", 0x6FF7, Shape::Transparent(1), 2).default("00").since(2),
    Element::new("ef-imsconfigdata", 0x6FF8, Shape::BerTlv(0), 2).content_required().since(2),
    Element::new("ef-xcapconfigdata", 0x6FFC, Shape::BerTlv(0), 2).content_required().since(2),
    Element::new("ef-webrtcuri", 0x6FFA, Shape::LinearFixed { records: 0, length: 0 }, 2)
        .content_required()
        .since(2),
    Element::new("ef-mudmidconfigdata", 0x6FFE, Shape::BerTlv(0), 2).content_required().since(2),
];
