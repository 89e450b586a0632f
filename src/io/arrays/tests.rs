//! Heads of files, and the order of elements.

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn header_of(bytes: &[u8]) -> Result<(ArrayHeader, u64)> {
    npy::header(&mut &*bytes, "x.npy")
}

/// An NPY file's head with this dictionary.
fn with(dictionary: &str) -> Vec<u8> {
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend((dictionary.len() as u16).to_le_bytes());
    head.extend(dictionary.bytes());
    head
}

#[test]
fn heads_as_anybody_writes_them_are_understood() {
    let plain = |element, big_endian, fortran, shape: &[usize]| ArrayHeader {
        element,
        big_endian,
        fortran,
        shape: shape.to_vec(),
    };
    for (text, expected) in [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }  \n", plain(Element::U8, false, false, &[3, 2])),
        ("{\"shape\":(3,),\"fortran_order\":True,\"descr\":\">f8\"}", plain(Element::F64, true, true, &[3])),
        (
            "{ 'shape': (10L, 2L), 'descr' : '<U7', 'fortran_order': False }",
            plain(Element::Text(7), false, false, &[10, 2]),
        ),
        ("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", plain(Element::U8, false, false, &[])),
    ] {
        assert_eq!(header_of(&with(text)).unwrap(), (expected, 10 + text.len() as u64), "{text}");
    }
}

#[test]
fn heads_that_are_none_say_why() {
    for (text, why) in [
        ("", "`{` is missing"),
        ("{'descr': '<f4'", "`}` is missing"),
        ("{'descr': '<f4', 'shape': (1,)}", "`fortran_order` or `shape` is missing"),
        ("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}", "rows of several fields"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "type `|O` cannot be read"),
        ("{'descr': 'é', 'fortran_order': False, 'shape': (1,)}", "type `é` cannot be read"),
        ("{'descr': '<U99999999', 'fortran_order': False, 'shape': (1,)}", "cannot be read"),
        ("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", "neither True nor False"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "`` is no dimension"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "is no dimension"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, }", "is no dimension"),
        ("{'other': '<f4'}", "`other` is not known"),
    ] {
        let error = header_of(&with(text)).unwrap_err().to_string();
        assert!(error.starts_with("x.npy: ") && error.contains(why), "{text}: {error}");
    }
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend(u32::MAX.to_le_bytes());
    assert!(header_of(&long).unwrap_err().to_string().contains("4294967295 bytes long"));
    assert!(header_of(b"\x93NUMPY\x09\x00\x00\x00").unwrap_err().to_string().contains("version 9"));
    assert!(header_of(b"\x93NUMPY\x01\x00\xff\x00{").unwrap_err().to_string().contains("breaks off"));
}

#[test]
fn a_head_that_is_written_is_read_and_leaves_room_for_any_number_of_rows() {
    for inner in [&[][..], &[60], &[28, 28], &[2_147_483_647, 1, 1]] {
        for rows in [0, 1, usize::MAX] {
            let shape: Vec<usize> = [rows].iter().chain(inner).copied().collect();
            let head = npy::head("<f4", &shape);
            assert_eq!(head.len(), 128);
            assert_eq!(head.last(), Some(&b'\n'));
            let expected = ArrayHeader { element: Element::F32, big_endian: false, fortran: false, shape };
            assert_eq!(header_of(&head).unwrap(), (expected, 128));
        }
    }
}

#[test]
fn interleaved_rows_are_those_in_order() {
    for (all, inner) in [(9, &[7][..]), (9, &[3, 5]), (9, &[2, 3, 4]), (9, &[1, 4]), (1, &[3, 5])] {
        let shape: Vec<usize> = [all].iter().chain(inner).copied().collect();
        let values: usize = inner.iter().product();
        // In C order each element is its own place.
        let element = |row: usize, at: usize| (row * values + at) as u16;
        let mut fortran = vec![0u8; all * values * 2];
        for row in 0..all {
            for at in 0..values {
                let (mut left, mut place, mut step) = (at, row, all * values);
                for &side in inner.iter().rev() {
                    step /= side;
                    place += left % side * step;
                    left /= side;
                }
                fortran[place * 2..][..2].copy_from_slice(&element(row, at).to_le_bytes());
            }
        }
        let header = ArrayHeader { element: Element::U16, big_endian: false, fortran: true, shape };
        assert!(header.is_interleaved());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"head").unwrap();
        file.write_all(&fortran).unwrap();
        for (first, rows) in [(0, all), (0, 1), (all / 2, all.min(3)), (all - 1, 1)] {
            let found = gather(&mut file, 4, &header, first, rows).unwrap();
            let expected: Vec<u8> = (first..first + rows)
                .flat_map(|row| (0..values).flat_map(move |at| element(row, at).to_le_bytes()))
                .collect();
            assert_eq!(found, expected, "{inner:?} {first} {rows}");
        }
    }
}

#[test]
fn a_header_that_lies_takes_no_memory() {
    for shape in [&[usize::MAX, 28, 28][..], &[1 << 40, 1 << 30], &[3, usize::MAX, usize::MAX], &[1 << 60, 8, 8, 1]] {
        for fortran in [false, true] {
            let mut head = npy::head("<f8", shape);
            if fortran {
                head = String::from_utf8_lossy(&head[10..]).replace("False", "True ").into_bytes();
                head = with(&String::from_utf8(head).unwrap());
            }
            head.extend([1, 2, 3]);
            let error = open(Box::new(Cursor::new(head)), None, "x", &ReadOptions::default())
                .and_then(|batches| batches.collect::<Result<Vec<_>, _>>().map_err(Error::from))
                .unwrap_err();
            assert!(error.to_string().starts_with("x: "), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn no_head_makes_it_panic(text in "[{}'(), :a-zA-Z0-9<>|é]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = header_of(&with(&text));
        let _ = header_of(&bytes);
        let _ = idx::header(&mut &*bytes, "x");
    }
}
