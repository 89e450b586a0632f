//! The images of a run, taken piece by piece by whoever has time, each with its own rows in the output.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::FeaturesMut;
use crate::base::pixels::PixelSlice;
use crate::base::shape::{ImageShape, PixelType};

/// Some images and the rows of their values.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub pixels: PixelSlice<'a>,
    pub out: FeaturesMut<'a>,
}

/// Images that wait to be computed. Pieces do not overlap, so any number of threads may take them.
#[derive(Debug)]
pub(crate) struct Queue<'a> {
    shape: ImageShape,
    rest: Mutex<Vec<Piece<'a>>>,
}

impl<'a> Queue<'a> {
    /// Of all images; `out` must have a row for each of them and no more.
    pub fn new(shape: ImageShape, pixels: PixelSlice<'a>, out: FeaturesMut<'a>) -> Self {
        Self { shape, rest: Mutex::new(vec![Piece { pixels, out }]) }
    }

    /// Takes at most `max` images, at least one, or `None` if none are left.
    pub fn take(&self, max: usize) -> Option<Piece<'a>> {
        let mut rest = self.rest();
        while let Some(Piece { pixels, out }) = rest.pop() {
            if out.images() <= max.max(1) {
                if out.images() == 0 {
                    continue;
                }
                return Some(Piece { pixels, out });
            }
            let (taken, left) = pixels.split_at(max.max(1) * self.shape.values());
            let (out, out_left) = out.split_at(max.max(1));
            rest.push(Piece { pixels: left, out: out_left });
            return Some(Piece { pixels: taken, out });
        }
        None
    }

    /// Gives back a piece that could not be computed.
    pub fn put_back(&self, piece: Piece<'a>) {
        self.rest().push(piece);
    }

    /// Images that wait.
    pub fn images(&self) -> usize {
        self.rest().iter().map(|piece| piece.out.images()).sum()
    }

    /// Bytes of the pixels that wait.
    pub fn bytes(&self) -> usize {
        self.rest().iter().map(|piece| piece.pixels.size()).sum()
    }

    /// The type of the pixels; `None` if no image waits.
    pub fn pixel_type(&self) -> Option<PixelType> {
        self.rest().last().map(|piece| piece.pixels.pixel_type())
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    fn rest(&self) -> MutexGuard<'_, Vec<Piece<'a>>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_taken_once_with_its_own_place() {
        let shape = ImageShape::gray(1, 2).unwrap();
        let pixels: Vec<u8> = (0..20).collect();
        let mut values = vec![0.0; 10];
        let queue = Queue::new(shape, (&pixels).into(), FeaturesMut::new(&mut values, 1).unwrap());
        let mut back = Some(queue.take(4).unwrap());
        for max in [0, 3, 100, 100] {
            let Some(mut piece) = queue.take(max) else { panic!("{max}") };
            let PixelSlice::U8(pixels) = piece.pixels else { panic!("they are u8") };
            for (row, image) in piece.out.rows_mut().zip(pixels.chunks(2)) {
                row[0] += f32::from(image[0]);
            }
            if let Some(piece) = back.take_if(|_| max == 3) {
                queue.put_back(piece);
                assert_eq!((queue.images(), queue.bytes()), (6, 12));
            }
        }
        assert!(queue.take(1).is_none());
        drop(queue);
        assert_eq!(values, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
    }
}
