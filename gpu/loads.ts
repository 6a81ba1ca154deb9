// Whether the native addon can be loaded here: run.sh tries with the libraries of the machine, then with its own.
import '../lib/native.ts';
