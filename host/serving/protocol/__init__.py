"""What requests and answers are, whichever way they came: tensors in, frames, tensors out."""
