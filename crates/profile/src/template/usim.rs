//! Templates of ADF.USIM: created by default, and optional.

use super::{Element, Shape};

pub(super) const USIM: &[Element] = &[
    Element::new("adf-usim", 0x0000, Shape::Adf, 14).mandatory(),
    Element::new("ef-imsi", 0x6F07, Shape::Transparent(9), 2).sfi(0x07).mandatory().content_required(),
    Element::new("ef-arr", 0x6F06, Shape::LinearFixed { records: 0, length: 0 }, 10)
        .sfi(0x17)
        .mandatory()
        .content_required(),
    Element::new("ef-keys", 0x6F08, Shape::Transparent(33), 5).sfi(0x08).default("07FF...FF").high_update(),
    Element::new("ef-keysPS", 0x6F09, Shape::Transparent(33), 5).sfi(0x09).default("07FF...FF").high_update(),
    Element::new("ef-hpplmn", 0x6F31, Shape::Transparent(1), 2).sfi(0x12).default("0A"),
    Element::new("ef-ust", 0x6F38, Shape::Transparent(14), 2)
        .sfi(0x04)
        .mandatory()
        .content_required()
        .changed(2, Shape::Transparent(17), ""),
    Element::new("ef-fdn", 0x6F3B, Shape::LinearFixed { records: 20, length: 26 }, 8).default("FF...FF"),
    Element::new("ef-sms", 0x6F3C, Shape::LinearFixed { records: 10, length: 176 }, 5).default("00FF...FF"),
    Element::new("ef-smsp", 0x6F42, Shape::LinearFixed { records: 1, length: 38 }, 5).default("FF...FF"),
    Element::new("ef-smss", 0x6F43, Shape::Transparent(2), 5).default("FFFF"),
    Element::new("ef-spn", 0x6F46, Shape::Transparent(17), 10).mandatory().content_required(),
    Element::new("ef-est", 0x6F56, Shape::Transparent(1), 8).sfi(0x05).mandatory().content_required(),
    Element::new("ef-start-hfn", 0x6F5B, Shape::Transparent(6), 5)
        .sfi(0x0F)
        .default("F00000F00000")
        .high_update(),
    Element::new("ef-threshold", 0x6F5C, Shape::Transparent(3), 2).sfi(0x10).default("FFFFFF"),
    Element::new("ef-psloci", 0x6F73, Shape::Transparent(14), 5)
        .sfi(0x0C)
        .default("FFFFFFFFFFFFFFFFFFFF0000FF01")
        .high_update(),
    Element::new("ef-acc", 0x6F78, Shape::Transparent(2), 2).sfi(0x06).mandatory().content_required(),
    Element::new("ef-fplmn", 0x6F7B, Shape::Transparent(12), 5).sfi(0x0D).default("FF...FF"),
    Element::new("ef-loci", 0x6F7E, Shape::Transparent(11), 5)
        .sfi(0x0B)
        .default("FFFFFFFFFFFFFF0000FF01")
        .high_update(),
    Element::new("ef-ad", 0x6FAD, Shape::Transparent(4), 10).sfi(0x03).default("00000002"),
    Element::new("ef-ecc", 0x6FB7, Shape::LinearFixed { records: 1, length: 4 }, 10)
        .sfi(0x01)
        .mandatory()
        .content_required(),
    Element::new("ef-netpar", 0x6FC4, Shape::Transparent(128), 5).default("FF...FF").high_update(),
    Element::new("ef-epsloci", 0x6FE3, Shape::Transparent(18), 5)
        .sfi(0x1E)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000001")
        .high_update(),
    Element::new("ef-epsnsc", 0x6FE4, Shape::LinearFixed { records: 1, length: 80 }, 5)
        .sfi(0x18)
        .default("FF...FF")
        .high_update(),
];

pub(super) const OPT_USIM: &[Element] = &[
    Element::new("ef-li", 0x6F05, Shape::Transparent(6), 1).sfi(0x02).default("FF...FF"),
    Element::new("ef-acmax", 0x6F37, Shape::Transparent(3), 5).default("000000"),
    Element::new("ef-acm", 0x6F39, Shape::Cyclic { records: 1, length: 3 }, 7)
        .default("000000")
        .high_update(),
    Element::new("ef-gid1", 0x6F3E, Shape::Transparent(8), 2).content_required(),
    Element::new("ef-gid2", 0x6F3F, Shape::Transparent(8), 2).content_required(),
    Element::new("ef-msisdn", 0x6F40, Shape::LinearFixed { records: 1, length: 24 }, 2).default("FF...FF"),
    Element::new("ef-puct", 0x6F41, Shape::Transparent(5), 5).default("FFFFFF0000"),
    Element::new("ef-cbmi", 0x6F45, Shape::Transparent(10), 5).default("FF...FF"),
    Element::new("ef-cbmid", 0x6F48, Shape::Transparent(10), 2).sfi(0x0E).default("FF...FF"),
    Element::new("ef-sdn", 0x6F49, Shape::LinearFixed { records: 10, length: 24 }, 2).default("FF...FF"),
    Element::new("ef-ext2", 0x6F4B, Shape::LinearFixed { records: 10, length: 13 }, 8).default("00FF...FF"),
    Element::new("ef-ext3", 0x6F4C, Shape::LinearFixed { records: 10, length: 13 }, 2).default("00FF...FF"),
    Element::new("ef-cbmir", 0x6F50, Shape::Transparent(20), 5).default("FF...FF"),
    Element::new("ef-plmnwact", 0x6F60, Shape::Transparent(40), 5).sfi(0x0A).default("FFFFFF0000*"),
    Element::new("ef-oplmnwact", 0x6F61, Shape::Transparent(40), 2).sfi(0x11).default("FFFFFF0000*"),
    Element::new("ef-hplmnwact", 0x6F62, Shape::Transparent(5), 2).sfi(0x13).default("FFFFFF0000*").changed(
        2,
        Shape::Transparent(5),
        "FFFFFF0000",
    ),
    Element::new("ef-dck", 0x6F2C, Shape::Transparent(16), 5).default("FF...FF"),
    Element::new("ef-cnl", 0x6F32, Shape::Transparent(30), 2).default("FF...FF"),
    Element::new("ef-smsr", 0x6F47, Shape::LinearFixed { records: 10, length: 30 }, 5).default("00FF...FF"),
    Element::new("ef-bdn", 0x6F4D, Shape::LinearFixed { records: 10, length: 25 }, 8).default("FF...FF"),
    Element::new("ef-ext5", 0x6F4E, Shape::LinearFixed { records: 10, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-ccp2", 0x6F4F, Shape::LinearFixed { records: 5, length: 15 }, 5)
        .sfi(0x16)
        .default("FF...FF"),
    Element::new("ef-ext4", 0x6F55, Shape::LinearFixed { records: 10, length: 13 }, 8).default("00FF...FF"),
    Element::new("ef-acl", 0x6F57, Shape::Transparent(101), 8).default("00FF...FF"),
    Element::new("ef-cmi", 0x6F58, Shape::LinearFixed { records: 10, length: 11 }, 2).default("FF...FF"),
    Element::new("ef-ici", 0x6F80, Shape::Cyclic { records: 20, length: 38 }, 5)
        .sfi(0x14)
        .default("FF...FF0000000001FFFF")
        .high_update(),
    Element::new("ef-oci", 0x6F81, Shape::Cyclic { records: 20, length: 37 }, 5)
        .sfi(0x15)
        .default("FF...FF00000001FFFF")
        .high_update(),
    Element::new("ef-ict", 0x6F82, Shape::Cyclic { records: 1, length: 3 }, 7)
        .default("000000")
        .high_update(),
    Element::new("ef-oct", 0x6F83, Shape::Cyclic { records: 1, length: 3 }, 7)
        .default("000000")
        .high_update(),
    Element::new("ef-vgcs", 0x6FB1, Shape::Transparent(20), 2).content_required(),
    Element::new("ef-vgcss", 0x6FB2, Shape::Transparent(7), 5).content_required(),
    Element::new("ef-vbs", 0x6FB3, Shape::Transparent(20), 2).content_required(),
    Element::new("ef-vbss", 0x6FB4, Shape::Transparent(7), 5).content_required(),
    Element::new("ef-emlpp", 0x6FB5, Shape::Transparent(2), 2).content_required(),
    Element::new("ef-aaem", 0x6FB6, Shape::Transparent(1), 5).default("00"),
    Element::new("ef-hiddenkey", 0x6FC3, Shape::Transparent(4), 5).default("FF...FF"),
    Element::new("ef-pnn", 0x6FC5, Shape::LinearFixed { records: 10, length: 16 }, 10)
        .sfi(0x19)
        .content_required(),
    Element::new("ef-opl", 0x6FC6, Shape::LinearFixed { records: 5, length: 8 }, 10)
        .sfi(0x1A)
        .content_required(),
    Element::new("ef-mbdn", 0x6FC7, Shape::LinearFixed { records: 3, length: 24 }, 5).content_required(),
    Element::new("ef-ext6", 0x6FC8, Shape::LinearFixed { records: 10, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-mbi", 0x6FC9, Shape::LinearFixed { records: 10, length: 5 }, 5).content_required(),
    Element::new("ef-mwis", 0x6FCA, Shape::LinearFixed { records: 10, length: 6 }, 5)
        .default("00...00")
        .high_update(),
    Element::new("ef-cfis", 0x6FCB, Shape::LinearFixed { records: 10, length: 16 }, 5).default("0100FF...FF"),
    Element::new("ef-ext7", 0x6FCC, Shape::LinearFixed { records: 10, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-spdi", 0x6FCD, Shape::Transparent(17), 2).sfi(0x1B).content_required(),
    Element::new("ef-mmsn", 0x6FCE, Shape::LinearFixed { records: 10, length: 6 }, 5)
        .default("000000FF...FF"),
    Element::new("ef-ext8", 0x6FCF, Shape::LinearFixed { records: 10, length: 13 }, 5).default("00FF...FF"),
    Element::new("ef-mmsicp", 0x6FD0, Shape::Transparent(100), 2).default("FF...FF"),
    Element::new("ef-mmsup", 0x6FD1, Shape::LinearFixed { records: 0, length: 0 }, 5).default("FF...FF"),
    Element::new("ef-mmsucp", 0x6FD2, Shape::Transparent(100), 5).default("FF...FF"),
    Element::new("ef-nia", 0x6FD3, Shape::LinearFixed { records: 5, length: 11 }, 2).default("FF...FF"),
    Element::new("ef-vgcsca", 0x6FD4, Shape::Transparent(0), 2).default("00...00"),
    Element::new("ef-vbsca", 0x6FD5, Shape::Transparent(0), 2).default("00...00"),
    Element::new("ef-gbabp", 0x6FD6, Shape::Transparent(0), 5).default("FF...FF"),
    Element::new("ef-msk", 0x6FD7, Shape::LinearFixed { records: 0, length: 0 }, 2)
        .default("FF...FF")
        .high_update(),
    Element::new("ef-muk", 0x6FD8, Shape::LinearFixed { records: 0, length: 0 }, 2).default("FF...FF"),
    Element::new("ef-ehplmn", 0x6FD9, Shape::Transparent(15), 2).sfi(0x1D).default("FF...FF"),
    Element::new("ef-gbanl", 0x6FDA, Shape::LinearFixed { records: 0, length: 0 }, 2).default("FF...FF"),
    Element::new("ef-ehplmnpi", 0x6FDB, Shape::Transparent(1), 2).default("00"),
    Element::new("ef-lrplmnsi", 0x6FDC, Shape::Transparent(1), 2).default("00"),
    Element::new("ef-nafkca", 0x6FDD, Shape::LinearFixed { records: 0, length: 0 }, 2).default("FF...FF"),
    Element::new("ef-spni", 0x6FDE, Shape::Transparent(0), 10).default("00FF...FF"),
    Element::new("ef-pnni", 0x6FDF, Shape::LinearFixed { records: 0, length: 0 }, 10).default("00FF...FF"),
    Element::new("ef-ncp-ip", 0x6FE2, Shape::LinearFixed { records: 0, length: 0 }, 2).content_required(),
    Element::new("ef-ufc", 0x6FE6, Shape::Transparent(30), 10)
        .default("801E60C01E900080040000000000000000F0000000004000000000000080"),
    Element::new("ef-nasconfig", 0x6FE8, Shape::Transparent(18), 2).content_required(),
    Element::new("ef-uicciari", 0x6FE7, Shape::LinearFixed { records: 0, length: 0 }, 2).content_required(),
    Element::new("ef-pws", 0x6FEC, Shape::Transparent(0), 10).content_required(),
    Element::new("ef-fdnuri", 0x6FED, Shape::LinearFixed { records: 0, length: 0 }, 8).default("FF...FF"),
    Element::new("ef-bdnuri", 0x6FEE, Shape::LinearFixed { records: 0, length: 0 }, 8).default("FF...FF"),
    Element::new("ef-sdnuri", 0x6FEF, Shape::LinearFixed { records: 0, length: 0 }, 2).default("FF...FF"),
    Element::new("ef-ial", 0x6FF0, Shape::LinearFixed { records: 0, length: 0 }, 3).default("FF...FF"),
    Element::new("ef-ips", 0x6FF1, Shape::Cyclic { records: 0, length: 4 }, 10)
        .default("FF...FF")
        .high_update(),
    Element::new("ef-ipd", 0x6FF2, Shape::LinearFixed { records: 0, length: 0 }, 3)
        .default("FF...FF")
        .high_update(),
    Element::new("ef-epdgid", 0x6FF3, Shape::Transparent(0), 2).content_required().since(2),
    Element::new("ef-epdgselection", 0x6FF4, Shape::Transparent(0), 2).content_required().since(2),
    Element::new("ef-epdgidem", 0x6FF5, Shape::Transparent(0), 2).content_required().since(2),
    Element::new("ef-epdgselectionem", 0x6FF6, Shape::Transparent(0), 2).content_required().since(2),
    Element::new("ef-frompreferred", 0x6FF7, Shape::Transparent(1), 2).default("00").since(2),
    Element::new("ef-imsconfigdata", 0x6FF8, Shape::BerTlv(0), 2).content_required().since(2),
    Element::new("ef-3gpppsdataoff", 0x6FF9, Shape::Transparent(4), 2).content_required().since(2),
    Element::new("ef-3gpppsdataoffservicelist", 0x6FFA, Shape::LinearFixed { records: 0, length: 0 }, 2)
        .content_required()
        .since(2),
    Element::new("ef-xcapconfigdata", 0x6FFC, Shape::BerTlv(0), 2).content_required().since(2),
    Element::new("ef-earfcnlist", 0x6FFD, Shape::Transparent(0), 10).content_required().since(2),
    Element::new("ef-mudmidconfigdata", 0x6FFE, Shape::BerTlv(0), 2).content_required().since(2),
    Element::new("ef-eaka", 0x6F01, Shape::Transparent(1), 3).content_required().since(3),
];
