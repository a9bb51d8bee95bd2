"""Recurrent layers: GRU, LSTM and the simple RNN, a loop over the steps in C as well."""

from lilliput.ops.recurrent.gru import Gru as Gru
from lilliput.ops.recurrent.lstm import Lstm as Lstm
from lilliput.ops.recurrent.rnn import Rnn as Rnn
