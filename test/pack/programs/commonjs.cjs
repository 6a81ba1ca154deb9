console.log(require('./train.cjs')(require('keras-optimizers')));
