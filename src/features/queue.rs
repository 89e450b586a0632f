//! The images of a run, taken piece by piece by whoever has time, each with its own places in the output.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::shape::ImageShape;
use crate::features::Output;
use crate::features::moments::Pixel;

/// Some images and the places of their features.
#[derive(Debug)]
pub(crate) struct Piece<'a, P> {
    pub pixels: &'a [P],
    pub out: Output<'a>,
}

/// Images that wait to be computed. Pieces do not overlap, so any number of threads may take them.
#[derive(Debug)]
pub(crate) struct Queue<'a, P> {
    shape: ImageShape,
    rest: Mutex<Vec<Piece<'a, P>>>,
}

impl<'a, P: Pixel> Queue<'a, P> {
    /// Of all images; `out` must hold just them.
    pub fn new(shape: ImageShape, pixels: &'a [P], out: Output<'a>) -> Self {
        Self { shape, rest: Mutex::new(vec![Piece { pixels, out }]) }
    }

    /// Takes at most `most` images, at least one, or `None` if none are left.
    pub fn take(&self, most: usize) -> Option<Piece<'a, P>> {
        let mut rest = self.rest();
        while let Some(Piece { pixels, out }) = rest.pop() {
            if out.images() <= most.max(1) {
                if out.images() == 0 {
                    continue;
                }
                return Some(Piece { pixels, out });
            }
            let (taken, left) = pixels.split_at(most.max(1) * self.shape.values());
            let (out, out_left) = out.split_at(most.max(1));
            rest.push(Piece { pixels: left, out: out_left });
            return Some(Piece { pixels: taken, out });
        }
        None
    }

    /// Gives back a piece that could not be computed.
    pub fn put_back(&self, piece: Piece<'a, P>) {
        self.rest().push(piece);
    }

    /// Images that wait.
    pub fn images(&self) -> usize {
        self.rest().iter().map(|piece| piece.out.images()).sum()
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    fn rest(&self) -> MutexGuard<'_, Vec<Piece<'a, P>>> {
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
        let (mut features, mut means, mut stds) = (vec![0.0; 10 * shape.features()], vec![0.0; 10], vec![0.0; 10]);
        let out = Output { features: &mut features, means: &mut means, stds: &mut stds };
        let queue = Queue::new(shape, &pixels, out);
        let mut back = Some(queue.take(4).unwrap());
        for most in [0, 3, 100, 100] {
            let Some(piece) = queue.take(most) else { panic!("{most}") };
            for (mean, image) in piece.out.means.iter_mut().zip(piece.pixels.chunks(2)) {
                *mean += f32::from(image[0]);
            }
            if let Some(piece) = back.take_if(|_| most == 3) {
                queue.put_back(piece);
                assert_eq!(queue.images(), 6);
            }
        }
        assert!(queue.take(1).is_none());
        drop(queue);
        assert_eq!(means, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0]);
    }
}
