//! All tests of the public interface and of the programs, in one binary: each binary links everything again.

mod augment;
mod backends;
mod cli;
mod contract;
mod declared;
mod distributions;
mod docs;
mod drift;
mod expectations;
mod files;
mod floors;
mod formats;
mod images;
mod inspect;
mod labels;
mod layouts;
mod live;
mod mnist;
mod mutations;
mod page;
mod quality;
mod streams;
mod support;
mod unchanged;
